-- Documents: what an order's goods leave with, and what is billed. Once issued, a document is never changed.
--
-- Every shipment has a delivery note (ddt), and what is sold without goods a sale: the *deliveries*. A delivery is where
-- money is worked out: it has the share of the order's lines, charges and discounts that leave with it, so that all
-- deliveries of an order add up to the order. An invoice lists deliveries. What is taken back or corrected is a document
-- of its own: a credit note for what was invoiced, a return for what was not.
--
-- Documents are made from the moment when erp.seller has its row. Amounts are cents, VAT included, unless a name says
-- net; credit notes and returns have positive amounts.

-- +goose Up

-- Who sells: stands on every document as it was when that was issued.
create table erp.seller (
    only_one            boolean primary key default true check (only_one),
    name                text not null check (name <> ''),
    street              text not null check (street <> ''),
    postcode            text not null check (postcode <> ''),
    city                text not null check (city <> ''),
    province            text not null default '',
    country             text not null default 'IT' check (country = 'IT'),  -- the rules here are Italy's
    vat_number          text not null check (vat_number <> ''),  -- partita IVA, without IT
    tax_code            text not null default '',
    tax_regime          text not null default 'RF01' check (tax_regime ~ '^RF(0[1-9]|1[0-9])$'),  -- of the exchange system's list
    rea_office          text not null default '',                -- business register: province …
    rea_number          text not null default '',                -- … and number
    share_capital       numeric(15,2),
    phone               text not null default '',
    email               text not null default '',
    pec                 text not null default '',
    website             text not null default '',
    bank                text not null default '',                -- for transfers
    iban                text not null default '',
    logo                bytea,                                   -- PNG or JPEG
    invoice_at_shipment boolean not null default true,           -- false: a person issues them (invoice_due), as deferred ones
    cash_on_delivery    text[] not null default '{cod,cash_on_delivery,cashondelivery,contrassegno}',  -- codes of payments, up to a dot
    since               timestamptz not null default now()       -- what left before has no documents
);

-- Has a row while no document may be issued: which numbers were given out is not known (00035_restored.sql).
create table erp.numbers_held (
    only_one boolean primary key default true check (only_one),
    why      text not null,
    since    timestamptz not null default now()
);

create type erp.party as (
    kind       text,         -- private, company, public
    name       text,
    address    erp.address,
    tax_code   text,
    vat_number text,
    pec        text,
    sdi        text,
    email      text,
    phone      text
);

create table erp.document (
    id               bigint generated always as identity primary key,
    kind             text not null check (kind in ('ddt', 'sale', 'invoice', 'deferred_invoice', 'credit_note', 'return')),
    series           text not null,      -- DDT, S: sales without goods, F: invoices of both kinds, NC: credit notes, R: returns
    year             smallint not null,
    number           bigint not null,    -- 1, 2, 3 … in its series and year
    date             date not null,      -- never before that of the number before
    issued_at        timestamptz not null default clock_timestamp(),
    channel          text not null,
    order_id         bigint,             -- null: of several orders
    shipment_id      bigint,             -- of a ddt
    customer_id      bigint not null,
    corrects         bigint references erp.document,  -- credit note: the invoice; return: the delivery
    reason           text not null check (reason in ('sale', 'return', 'correction')),  -- of transport, or why credited
    why              text not null default '',        -- in words
    to_invoice       boolean not null default false,  -- of a delivery: an invoice was due from the beginning
    language         text not null,      -- it, en
    currency         text not null,
    seller           jsonb not null,     -- erp.seller without logo
    buyer            erp.party not null,
    ship_to          erp.address not null,
    note             text not null default '',        -- of the customer
    phone            text not null default '',
    order_number     text not null default '',        -- W2026/17
    shop             text not null default '',
    shop_number      text not null default '',
    placed_at        timestamptz,
    warehouse        text not null default '',
    carrier          text not null default '',        -- its name; empty: fetched or brought
    tracking         text not null default '',
    packages         integer,
    weight_kg        numeric(12,3),
    total            bigint not null,
    cash_on_delivery bigint not null default 0,       -- what the carrier collects
    unique (series, year, number)
);
create unique index document_shipment on erp.document (shipment_id) where kind = 'ddt';
create unique index document_sale on erp.document (order_id) where kind = 'sale';
create index document_order on erp.document (order_id);
create index document_date on erp.document (date);
create index document_corrects on erp.document (corrects) where corrects is not null;

create table erp.document_line (
    document_id bigint not null references erp.document,
    line        integer not null,
    kind        text not null check (kind in ('goods', 'charge', 'discount')),
    source      text not null,           -- what of its order, delivery or invoice it is a part of
    base_id     bigint,                  -- the delivery that it lists, takes back or corrects …
    base_line   integer,                 -- … and its line there
    code        text not null default '',             -- SKU, or the shop's total code
    name        text not null,
    options     text not null default '',
    quantity    bigint not null check (quantity >= 0),  -- 0: the order was changed behind a delivery; 1 for charges and discounts
    gross       bigint not null,
    vat_rate    numeric(6,3) not null,
    vat_country text not null,
    vat_nature  text not null default '',
    primary key (document_id, line)
);
create index document_line_base on erp.document_line (base_id, base_line) where base_id is not null;

create table erp.document_vat (
    document_id bigint not null references erp.document,
    vat_rate    numeric(6,3) not null,
    vat_country text not null,
    vat_nature  text not null default '',
    gross       bigint not null,
    net         bigint not null,
    vat         bigint not null,
    primary key (document_id, vat_rate, vat_country, vat_nature),
    check (net + vat = gross and net = erp.net(gross, vat_rate))
);

-- What of the payments falls to the document. Store credit and gift cards are payments: they change no base of VAT.
create table erp.document_payment (
    document_id bigint not null references erp.document,
    line        integer not null,
    kind        text not null check (kind in ('paid', 'to_collect', 'credit')),
    code        text not null default '',
    title       text not null default '',
    amount      bigint not null,
    transaction text not null default '',
    primary key (document_id, line)
);

-- The invoice that stands for a delivery: never two. One that is credited as a whole, to be issued anew, gives it free.
create table erp.invoiced (
    base_id    bigint primary key references erp.document,
    invoice_id bigint not null references erp.document
);
create index on erp.invoiced (invoice_id);

-- +goose StatementBegin
create function erp.stays_as_issued() returns trigger
language plpgsql
as $$
begin
    raise exception '% of %: a document that was issued is never changed; correct it by erp.credit_invoice', lower(tg_op), tg_table_name
        using errcode = 'object_not_in_prerequisite_state';
end $$;
-- +goose StatementEnd
create trigger stays_as_issued before update or delete or truncate on erp.document for each statement execute function erp.stays_as_issued();
create trigger stays_as_issued before update or delete or truncate on erp.document_line for each statement execute function erp.stays_as_issued();
create trigger stays_as_issued before update or delete or truncate on erp.document_vat for each statement execute function erp.stays_as_issued();
create trigger stays_as_issued before update or delete or truncate on erp.document_payment for each statement execute function erp.stays_as_issued();

-- ---- what can't be right about what a buyer typed: a sentence, or null

-- Capital letters and digits only.
create function erp.code(t text) returns text language sql immutable parallel safe
return regexp_replace(upper(coalesce(t, '')), '[\s\u00a0./_-]', '', 'g');

-- The last digit of an Italian VAT number checks the others: every second digit counts twice, less 9 above 9.
-- plpgsql, here and below: a query within a function of SQL is parsed and planned anew at each call, which takes a millisecond.
-- +goose StatementBegin
create function erp.digits_flaw(t text) returns text language plpgsql immutable parallel safe as $$
begin
    return case when t = '00000000000' then 'it is all zeros' when (
            select sum(case when i % 2 = 1 then d when d > 4 then 2 * d - 9 else 2 * d end) % 10
            from (select i, substr(t, i, 1)::int as d from generate_series(1, 11) as i) x) <> 0
        then 'its last digit does not fit the others' end;
end $$;
-- +goose StatementEnd

create function erp.vat_number_flaw(t text) returns text language sql immutable parallel safe
return case
    when t ~ '^\d{11}$' then erp.digits_flaw(t)
    when t ~ '^IT' then 'an Italian VAT number has 11 digits'
    when t !~ '^[A-Z]{2}[A-Z0-9+*]{2,13}$' then 'a VAT number has 11 digits in Italy, elsewhere two letters of the country in front'
end;

-- A person's tax code has 16 characters, a company's is like its VAT number. Where two people would have the same,
-- letters LMNPQRSTUV stand for digits.
-- +goose StatementBegin
create function erp.tax_code_flaw(t text) returns text language plpgsql immutable parallel safe as $$
begin
    return case
        when t ~ '^\d{11}$' then erp.digits_flaw(t)
        when length(t) <> 16 then format('a tax code has 16 characters, or a company''s 11 digits; this has %s', length(t))
        when t !~ '^[A-Z]{6}[0-9LMNPQRSTUV]{2}[ABCDEHLMPRST][0-9LMNPQRSTUV]{2}[A-Z][0-9LMNPQRSTUV]{3}[A-Z]$'
            then 'letters and digits of a tax code stand in other places'
        when translate(substr(t, 10, 2), 'LMNPQRSTUV', '0123456789')::int % 40 not between 1 and 31
            or translate(substr(t, 10, 2), 'LMNPQRSTUV', '0123456789')::int > 71
            then 'the day of birth in it is no day'
        when chr(65 + (
                select sum(case when i % 2 = 0 then case when c < 10 then c else c - 10 end
                    else ('{1,0,5,7,9,13,15,17,19,21,1,0,5,7,9,13,15,17,19,21,2,4,18,20,11,3,6,8,12,14,16,10,22,25,24,23}'::int[])[c + 1] end)::int % 26
                from (select i, strpos('0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ', substr(t, i, 1)) - 1 as c from generate_series(1, 15) as i) x)) <> right(t, 1)
            then 'its last letter does not fit the others'
    end;
end $$;
-- +goose StatementEnd

create function erp.sdi_flaw(t text, kind text) returns text language sql immutable parallel safe
return case
    when t !~ '^[A-Z0-9]{6,7}$' then 'an SDI code has 7 letters and digits, a public body''s 6'
    when length(t) = 6 and kind <> 'public' then 'it has 6 characters, as only a public body''s; the customer is none'
    when length(t) = 7 and kind = 'public' then 'a public body''s has 6 characters'
end;

create function erp.pec_flaw(t text) returns text language sql immutable parallel safe
return case when t !~ '^[^@\s,;]+@[^@\s,;]+\.[^@\s,;.]{2,}$' then 'it is no e-mail address' end;

-- buyer is who an order's documents are made out to.
-- +goose StatementBegin
create function erp.buyer(o erp.sales_order) returns erp.party
language sql stable
as $$
    select row(o.kind, btrim(coalesce(case when o.kind <> 'private' then nullif(btrim((o.billing).company), '') end,
            nullif(btrim(concat_ws(' ', (o.billing).first_name, (o.billing).last_name)), ''), (o.billing).company, '')),
        o.billing, erp.code(o.tax_code), regexp_replace(erp.code(o.vat_number), '^IT(?=\d{11}$)', ''), btrim(o.pec), erp.code(o.sdi), o.email, o.phone)::erp.party
$$;
-- +goose StatementEnd

-- buyer_flaw says why no invoice can be made out to a buyer: a sentence, or null.
-- +goose StatementBegin
create function erp.buyer_flaw(b erp.party) returns text
language sql immutable
as $$
    select case
        when b.name = '' then 'the buyer has no name'
        when coalesce((b.address).street, '') = '' or coalesce((b.address).city, '') = '' then 'the billing address has no street or no city'
        when coalesce((b.address).country, '') !~ '^[A-Z]{2}$' then format('the country of the billing address is %L: two letters are expected', (b.address).country)
        when (b.address).country = 'IT' and coalesce((b.address).postcode, '') !~ '^\d{5}$' then format('postcode %L: Italy''s have 5 digits', (b.address).postcode)
        when b.vat_number <> '' and ((b.address).country = 'IT' or b.vat_number ~ '^[A-Z]{2}') and erp.vat_number_flaw(b.vat_number) is not null
            then format('VAT number %s: %s', b.vat_number, erp.vat_number_flaw(b.vat_number))
        when b.pec <> '' and erp.pec_flaw(b.pec) is not null then format('PEC %s: %s', b.pec, erp.pec_flaw(b.pec))
        when (b.address).country <> 'IT' then case when b.kind <> 'private' and b.vat_number = '' then 'a company''s invoice needs its VAT number' end
        when b.tax_code <> '' and erp.tax_code_flaw(b.tax_code) is not null then format('tax code %s: %s', b.tax_code, erp.tax_code_flaw(b.tax_code))
        when b.sdi <> '' and erp.sdi_flaw(b.sdi, b.kind) is not null then format('SDI code %s: %s', b.sdi, erp.sdi_flaw(b.sdi, b.kind))
        when b.kind = 'public' and b.sdi = '' then 'a public body''s invoice needs the SDI code of its office'
        when b.vat_number = '' and b.tax_code = '' then case when b.kind = 'private' then 'a person''s invoice needs the tax code (codice fiscale)'
            else 'a company''s invoice needs its VAT number or tax code' end
    end
$$;
-- +goose StatementEnd

-- +goose Down
drop function erp.buyer_flaw(erp.party), erp.buyer(erp.sales_order), erp.pec_flaw(text), erp.sdi_flaw(text, text), erp.tax_code_flaw(text),
    erp.vat_number_flaw(text), erp.digits_flaw(text), erp.code(text);
drop table erp.invoiced, erp.document_payment, erp.document_vat, erp.document_line, erp.document, erp.seller;
drop function erp.stays_as_issued();
drop type erp.party;
drop table erp.numbers_held;
