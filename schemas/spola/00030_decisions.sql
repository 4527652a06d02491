-- What people decide about orders: on the day a shop goes live, and for those that are parked.

-- +goose Up

-- decision is a person's word that holds beside the rules:
--   import    into the ERP, although it is from before the cut or in a final state
--   close     not into the ERP
--   keep_erp  the ERP's version stays, although the shop has another
-- adopted: its ERP order was entered by hand and linked when the shop went live; what stands there need
-- not be line by line what the shop has.
alter table spola.link
    add decision text check (decision in ('import', 'close', 'keep_erp')),
    add adopted  boolean not null default false;

-- A person has paused the applier: it applies nothing until he lets it go on.
alter table spola.place
    add paused_at timestamptz,
    add paused_by text not null default '';

-- Who decided what, when and why. Rows are only added; they are there already where Spola comes back, for
-- "spola remove" leaves them.
create table if not exists spola.audit (
    id       bigint generated always as identity primary key,
    at       timestamptz not null default clock_timestamp(),
    who      text   not null,  -- account and machine
    shop     text   not null,
    order_id bigint,           -- null: about the shop as a whole
    verb     text   not null,  -- golive, resolve, retry, replay, articles, cross, pause, resume, remove, erase
    decision text   not null,
    reason   text   not null default '',
    detail   jsonb  not null default '{}'
);
create index if not exists audit_by_order on spola.audit (shop, order_id, id);

-- +goose StatementBegin
insert into spola.reason (code, why, mend) values
('shipped', 'Its goods have left the ERP, at least in part, and the shop has changed or cancelled it since.',
    'Decide with "applier parked resolve ORDER --keep-erp --reason …", or --take-shop where what has left is still in the order.'),
('cancelled', 'It was cancelled in the ERP, and the shop has changed it since.',
    'Decide with "applier parked resolve ORDER --keep-erp --reason …", or --take-shop to open it again as the shop has it.'),
('edited', 'A replay has found it other in the ERP than it is derived, though the shop has not changed it: it was edited in the ERP, or orders mean something else since.',
    'Decide with "applier parked resolve ORDER --keep-erp --reason …", or --take-shop to have it in the ERP as it is derived.');
-- +goose StatementEnd

-- +goose Down
delete from spola.reason where code in ('shipped', 'cancelled', 'edited');
drop table spola.audit;
alter table spola.place drop paused_by, drop paused_at;
alter table spola.link drop adopted, drop decision;
