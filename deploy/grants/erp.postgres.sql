-- The three roles of Spola in the ERP's PostgreSQL. Run by a superuser in the ERP's database,
-- after two changes: the passwords, and the shop's name (`shop` in mirror_shop and
-- canonical_shop; repeat that part for each shop).
--
--   spola_migrator  makes and changes tables: `applier migrate`, by an administrator
--   spola_applier   runs: reads and writes rows, and makes tables only in its shops' own schemas
--   spola_reader    looks: analysts, reports, a check of the day

CREATE ROLE spola_migrator LOGIN PASSWORD 'change-me-migrator';
CREATE ROLE spola_applier LOGIN PASSWORD 'change-me-applier';
CREATE ROLE spola_reader LOGIN PASSWORD 'change-me-reader';

-- The bridge's own tables, and the reference ERP.
CREATE SCHEMA spola AUTHORIZATION spola_migrator;
CREATE SCHEMA erp AUTHORIZATION spola_migrator;

-- The migrator makes them if they are missing, and the record of its migrations.
DO $$ BEGIN
    EXECUTE format('GRANT CREATE ON DATABASE %I TO spola_migrator', current_database());
    -- Batches pass through temporary tables.
    EXECUTE format('GRANT TEMPORARY ON DATABASE %I TO spola_applier', current_database());
END $$;

-- What stands there, and what later migrations bring. The applier writes the bridge's tables; of
-- the ERP it may read everything, and change nothing but by the functions of the contract.
GRANT USAGE ON SCHEMA spola, erp TO spola_applier, spola_reader;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA spola TO spola_applier;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA spola TO spola_applier;
GRANT SELECT ON ALL TABLES IN SCHEMA erp TO spola_applier;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA erp TO spola_applier;
GRANT SELECT ON ALL TABLES IN SCHEMA spola, erp TO spola_reader;
ALTER DEFAULT PRIVILEGES FOR ROLE spola_migrator IN SCHEMA spola
    GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO spola_applier;
ALTER DEFAULT PRIVILEGES FOR ROLE spola_migrator IN SCHEMA spola
    GRANT USAGE ON SEQUENCES TO spola_applier;
ALTER DEFAULT PRIVILEGES FOR ROLE spola_migrator IN SCHEMA erp
    GRANT SELECT ON TABLES TO spola_applier;
ALTER DEFAULT PRIVILEGES FOR ROLE spola_migrator IN SCHEMA erp
    GRANT EXECUTE ON FUNCTIONS TO spola_applier;
ALTER DEFAULT PRIVILEGES FOR ROLE spola_migrator IN SCHEMA spola, erp
    GRANT SELECT ON TABLES TO spola_reader;

-- The shop's tables and their meaning: made and widened by the applier as the log asks for it.
CREATE SCHEMA mirror_shop AUTHORIZATION spola_applier;
CREATE SCHEMA canonical_shop AUTHORIZATION spola_applier;
GRANT USAGE ON SCHEMA mirror_shop, canonical_shop TO spola_reader;
ALTER DEFAULT PRIVILEGES FOR ROLE spola_applier IN SCHEMA mirror_shop, canonical_shop
    GRANT SELECT ON TABLES TO spola_reader;
