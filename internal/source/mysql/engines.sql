SELECT table_name, COALESCE(engine, '')
  FROM information_schema.tables
 WHERE table_schema = DATABASE() AND table_type = 'BASE TABLE'
