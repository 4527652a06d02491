-- $1 applier, $2 source, $3 owner
insert into spola.place as p (applier, source, owner, owner_epoch)
values ($1, $2, $3, 1)
on conflict (applier, source) do update
   set owner_epoch = p.owner_epoch + 1, owner = excluded.owner
returning generation, seq, sum, owner_epoch, owner, applied, kafka_offset, record_time, paused_at, paused_by
