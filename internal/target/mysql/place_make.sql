INSERT INTO spola_marker (name, note) VALUES (?, ?)
