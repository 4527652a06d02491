SELECT column_name, sub_part IS NOT NULL
  FROM information_schema.statistics
 WHERE table_schema = DATABASE() AND table_name = ? AND index_name = 'PRIMARY'
 ORDER BY seq_in_index
