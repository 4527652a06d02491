-- All columns of the databases that may hold a shop: the one that is named, else every one that may be read.
SELECT c.table_schema AS db, c.table_name AS tab, c.column_name AS col
FROM information_schema.columns c
JOIN information_schema.tables t ON t.table_schema = c.table_schema AND t.table_name = c.table_name AND t.table_type = 'BASE TABLE'
WHERE (c.table_schema = ? OR ? = '') AND c.table_schema NOT IN ('mysql', 'sys', 'information_schema', 'performance_schema')
