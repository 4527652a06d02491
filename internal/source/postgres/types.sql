-- Every type with what it comes to: a domain is its base type, with the modifier that the last
-- domain on the way sets (numeric(10,2) has one).
WITH RECURSIVE step AS (
    SELECT oid AS id, oid AS base, -1 AS modifier, typtype, typbasetype, typtypmod
    FROM pg_type
    UNION ALL
    SELECT s.id, t.oid, CASE WHEN s.typtypmod >= 0 THEN s.typtypmod ELSE s.modifier END,
           t.typtype, t.typbasetype, t.typtypmod
    FROM step s
    JOIN pg_type t ON t.oid = s.typbasetype
    WHERE s.typtype = 'd'
)
SELECT id, base, modifier, typtype = 'e'
FROM step
WHERE typtype <> 'd';
