-- $1 applier, $2 source. Locked: an older transaction of this row must be over before it is read.
select generation, seq, sum, owner_epoch, owner, applied, kafka_offset, record_time, paused_at, paused_by
  from spola.place
 where applier = $1 and source = $2
   for update
