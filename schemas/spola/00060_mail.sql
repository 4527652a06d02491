-- Mails to customers: what is to be sent, and what became of it.

-- +goose Up

-- Since when a shop's customers are mailed. What left or was issued before is never mailed.
create table spola.mail_shop (
    shop    text primary key,
    begun   timestamptz not null default now(),  -- first start of `applier run mail`
    journal bigint not null default 0,           -- offset in the journal up to which the outbox knows of it
    trouble text not null default '',            -- why nothing can be sent at present: the server is away, or refuses us
    trouble_since timestamptz
);

-- The outbox. A row is made in the transaction in which the place moves over what causes it, and is never deleted: while it
-- is there its mail is not sent a second time unless a person says so.
create table spola.mail (
    id          bigint generated always as identity primary key,
    key         text not null unique,             -- what it is about, told by what a restored ERP has again: shop, number and date of the order, carrier and tracking number; the invoice
    shop        text not null,
    kind        text not null check (kind in ('shipment', 'invoice')),
    cause       bigint,                           -- the (first) shipment or the document; null: known from the journal alone
    order_id    bigint,                           -- of the ERP; of several the newest
    number      text not null default '',         -- of that order: W2026/17
    shop_number text not null default '',
    document    text not null default '',         -- of an invoice: F2026/17
    recipient   text not null default '',         -- as it stood on the order when the mail was queued; never changed
    state       text not null default 'queued' check (state in ('queued', 'sending', 'sent', 'unknown', 'failed')),
    reason      text not null default '',         -- why it waits, failed or is unknown: a sentence
    attempts    integer not null default 0,       -- begun
    message_id  text not null,                    -- the same for each attempt
    queued_at   timestamptz not null default now(),
    next_at     timestamptz not null default now(),  -- not before
    sent_at     timestamptz,
    settled     boolean not null default false    -- a person has decided that it is not sent: nobody need look at it again
) with (fillfactor = 70);
create index mail_due on spola.mail (shop, next_at) where state in ('queued', 'sending');
create index mail_open on spola.mail (shop) where state in ('unknown', 'failed') and not settled;
create index mail_order on spola.mail (order_id);

-- +goose Down
drop table spola.mail;
drop table spola.mail_shop;
