-- The compare-and-set: one row, or somebody else was here, or a person has paused it.
update spola.place
   set generation = $8, seq = $9, sum = $10, applied = $11, kafka_offset = $12, record_time = $13,
       moved_at = clock_timestamp()
 where applier = $1 and source = $2 and owner_epoch = $3 and paused_at is null
   and generation = $4 and seq = $5 and sum = $6 and applied = $7
