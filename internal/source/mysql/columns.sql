SELECT table_name, column_name, data_type, column_type, is_nullable = 'YES',
       COALESCE(numeric_precision, 0), COALESCE(numeric_scale, 0), COALESCE(datetime_precision, 0),
       COALESCE(character_set_name, '')
  FROM information_schema.columns
 WHERE table_schema = DATABASE() AND table_name = ?
 ORDER BY ordinal_position
