-- The bridge's own tables in the ERP's database: where each applier stands, and what the
-- mirror of a shop needs to know again after a restart.

-- +goose Up
create schema if not exists spola;

-- How far an applier has come in the log of a source. The row is changed in the transaction of
-- the effect, compare-and-set, first of all statements: an applier that was overtaken changes
-- no row and has no effect.
create table spola.place (
    applier      text        not null,              -- intake, ledger …
    source       text        not null,              -- the log's source: a shop, or the ERP
    generation   bigint      not null default 0,    -- last record applied: generation of the log,
    seq          bigint      not null default 0,    --   its number,
    sum          text        not null default '0000000000000000', -- its running checksum
    owner_epoch  bigint      not null default 0,    -- raised by each applier that starts: fences the one before
    owner        text        not null default '',   -- host and process, for people
    applied      bigint      not null default 0,    -- records applied, over all generations
    kafka_offset bigint      not null default -1,   -- of that record; a hint where to read on
    record_time  bigint      not null default 0,    -- its commit time at the source, ms since 1970
    moved_at     timestamptz not null default now(),
    primary key (applier, source)
) with (fillfactor = 50); -- changed by every batch: leave room for it on its page

-- What holds for the mirror of a source as a whole.
create table spola.mirror (
    source        text    primary key,
    ticks         bigint  not null default 0,    -- ticks applied: the source's clock, never set back
    snapshot_run  bigint  not null default 0,    -- last snapshot run that came to its end
    snapshot_done boolean not null default false,-- the mirror is whole: orders are derived. False again while a restored shop is read anew
    incarnation   bigint  not null default 0     -- of the shop's database, as the log's last claim says it; 0: no claim yet
) with (fillfactor = 50);

-- The shape of each mirrored table, as the log announced it last.
create table spola.mirror_table (
    source       text   not null,
    name         text   not null,           -- as the shop calls it, prefix included
    version      int    not null,           -- configuration version of the shape
    shape        jsonb  not null,           -- columns with their types, and the key
    first_run    bigint not null default 0, -- snapshot run that began the table last,
    first_low    bigint not null default 0, --   and the spola_at of its first low watermark
    complete_run bigint not null default 0, -- snapshot run that ended the table last; 0: none yet
    primary key (source, name)
);

-- +goose Down
drop table spola.mirror_table;
drop table spola.mirror;
drop table spola.place;
