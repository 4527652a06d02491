-- The publication $1: none or one row.
SELECT pubinsert AND pubupdate AND pubdelete AND pubtruncate, puballtables
FROM pg_publication
WHERE pubname = $1;
