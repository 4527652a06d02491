-- Locked: an older transaction of this row must be over before it is read.
SELECT generation, number, applied, COALESCE(note, '') FROM spola_marker WHERE name = ? FOR UPDATE
