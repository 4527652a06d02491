CREATE TABLE IF NOT EXISTS spola_marker (
  name       varchar(191) NOT NULL PRIMARY KEY,
  generation bigint       NOT NULL DEFAULT 0,
  number     bigint       NOT NULL DEFAULT 0,
  applied    bigint       NOT NULL DEFAULT 0,
  note       text         NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4
