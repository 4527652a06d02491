-- The role that reads the ERP's own changes for Spola: `cdc run erp`. Run by a superuser in the
-- ERP's database, after erp.postgres.sql and after `applier migrate`, with the password changed;
-- once more after a migration that brought tables to be read. An ERP of one's own has its own
-- tables in the place of those of schema erp: those of `publish` in schemas/erp/contract.yaml.
-- `cdc preflight erp` compares all this with what cdc needs.

CREATE ROLE spola_cdc LOGIN REPLICATION PASSWORD 'change-me-cdc';

-- It reads the published tables, for snapshots. It writes nothing; its watermarks are messages in
-- the write-ahead log, which need no right.
GRANT USAGE ON SCHEMA erp, spola TO spola_cdc;

DO $$
DECLARE
    wanted text;
    tables text[] := '{}';
BEGIN
    FOREACH wanted IN ARRAY ARRAY[
        'erp.stock', 'erp.article', 'erp.commitment', 'erp.order_line', 'erp.sales_order',
        'erp.shipment', 'erp.shipment_line', 'erp.document', 'erp.counter', -- all of contract.yaml
        'spola.ledger'] LOOP                 -- and Spola's own
        CONTINUE WHEN to_regclass(wanted) IS NULL; -- a later migration brings it
        tables := tables || wanted;
        EXECUTE format('GRANT SELECT ON %s TO spola_cdc', wanted);
        -- A row that is changed or deleted must tell which article or order it belonged to, and
        -- an update must not leave long values out. The ledger's rows are never changed.
        IF wanted <> 'spola.ledger' THEN
            EXECUTE format('ALTER TABLE %s REPLICA IDENTITY FULL', wanted);
        END IF;
    END LOOP;
    EXECUTE 'CREATE PUBLICATION spola_erp FOR TABLE ' || array_to_string(tables, ', ');
END $$;

-- A publication belongs to who may add a table to it: the owner of the tables.
ALTER PUBLICATION spola_erp OWNER TO spola_migrator;
