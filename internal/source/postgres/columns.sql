-- The columns of a table that the publication $3 carries, in the order in which rows have them.
-- Generated columns never travel.
SELECT a.attname, a.atttypid, a.atttypmod, a.attstorage <> 'p'
FROM pg_attribute a
JOIN pg_class c ON c.oid = a.attrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_publication p ON p.pubname = $3
LEFT JOIN pg_publication_rel r ON r.prpubid = p.oid AND r.prrelid = c.oid
WHERE n.nspname = $1 AND c.relname = $2
  AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
  AND (r.prattrs IS NULL OR a.attnum = ANY (r.prattrs::int2[]))
ORDER BY a.attnum;
