-- The compare-and-set: one row, or somebody else was here, or a person has paused it. The note holds
-- sum, owner epoch and what else a place has; nobody else changes a part of it without the rest.
UPDATE spola_marker
   SET generation = ?, number = ?, applied = ?, note = ?
 WHERE name = ? AND generation = ? AND number = ? AND applied = ? AND note = ?
