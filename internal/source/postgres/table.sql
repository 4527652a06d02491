-- A table by schema and name, and how the publication $3 carries it: always one row. The
-- membership names publication and table by their numbers, so that one that was dropped and
-- made again, or had left for a while, is another one.
WITH wanted AS (
    SELECT c.oid, c.relkind, c.relreplident, c.relrowsecurity, c.relowner
    FROM pg_class c
    JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = $1 AND c.relname = $2
)
SELECT w.oid IS NOT NULL,
       coalesce(w.relkind::text, ''),
       coalesce(w.relreplident::text, ''),
       coalesce(w.relrowsecurity, false) AND NOT coalesce(pg_has_role(w.relowner, 'usage'), false)
           AND NOT (SELECT u.rolsuper OR u.rolbypassrls FROM pg_roles u WHERE u.rolname = current_user),
       coalesce(has_table_privilege(w.oid, 'SELECT'), false) AND has_schema_privilege(n.oid, 'USAGE'),
       coalesce(pg_get_userbyid(w.relowner), ''),
       coalesce((
           SELECT array_agg(a.attname::text ORDER BY k.place)
           FROM pg_index i
           CROSS JOIN unnest(i.indkey::int2[]) WITH ORDINALITY k (number, place)
           JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.number
           WHERE i.indrelid = w.oid AND i.indisprimary AND k.place <= i.indnkeyatts), '{}'),
       coalesce(p.oid || '.' || coalesce(r.oid, s.oid, 0) || '.' || w.oid, ''),
       r.prqual IS NOT NULL
FROM (VALUES (1)) always
LEFT JOIN wanted w ON true
LEFT JOIN pg_namespace n ON n.nspname = $1
LEFT JOIN pg_publication p ON p.pubname = $3 AND (
       p.puballtables
    OR EXISTS (SELECT FROM pg_publication_rel r WHERE r.prpubid = p.oid AND r.prrelid = w.oid)
    OR EXISTS (SELECT FROM pg_publication_namespace s WHERE s.pnpubid = p.oid AND s.pnnspid = n.oid))
LEFT JOIN pg_publication_rel r ON r.prpubid = p.oid AND r.prrelid = w.oid
LEFT JOIN pg_publication_namespace s ON s.pnpubid = p.oid AND s.pnnspid = n.oid;
