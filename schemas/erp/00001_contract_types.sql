-- What the bridge hands to an ERP: the types of the contract (contract.md says what each means).
--
-- The functions that take them, all set-based, all inside the caller's transaction:
--
--   erp.import_customers(customers erp.customer_in[])                  returns setof erp.result
--   erp.import_orders(orders erp.order_in[], lines erp.order_line_in[], charges erp.order_charge_in[],
--                     vat erp.order_vat_in[], payments erp.order_payment_in[])  returns setof erp.result
--   erp.apply_edits(the same five arrays)                              returns setof erp.result
--   erp.cancel_orders(orders erp.order_cancel_in[])                    returns setof erp.result
--
-- One row comes back for each element of the first array. Money is whole cents, VAT included unless a
-- name says net; quantities are whole pieces; rates are percent. Numbers that a table would refuse are
-- wide here, so that the function can say so by name and no COMMIT fails for the others.

-- +goose Up
create schema if not exists erp;

create type erp.address as (
    first_name text,
    last_name  text,
    company    text,
    street     text,
    street2    text,
    postcode   text,
    city       text,
    province   text,
    country    text          -- ISO 3166, two letters
);

create type erp.customer_in as (
    reference  text,         -- opaque and unique, given by the bridge
    kind       text,         -- private, company, public
    first_name text,
    last_name  text,
    company    text,
    email      text,
    phone      text,
    language   text,         -- as the shop names it: it-it, en-gb
    tax_code   text,         -- codice fiscale
    vat_number text,         -- partita IVA
    pec        text,
    sdi        text,         -- codice destinatario, 7 characters (6 for public bodies)
    address    erp.address
);

create type erp.order_in as (
    reference         text,  -- opaque and unique, given by the bridge
    shop              text,
    shop_number       text,  -- the number that the customer knows; may repeat
    placed_at         timestamptz,
    customer          bigint,  -- id that import_customers returned
    kind              text,  -- private, company, public: as placed, like all that follows
    email             text,
    phone             text,
    language          text,
    note              text,
    tax_code          text,
    vat_number        text,
    pec               text,
    sdi               text,
    invoice_wanted    boolean,
    billing           erp.address,  -- null: the shipping address
    shipping          erp.address,
    shipping_code     text,
    shipping_method   text,
    currency          text,  -- of all cents here: the shop's default currency, ISO 4217
    total             bigint,  -- lines + charges (discounts are negative charges)
    customer_currency text,  -- what the customer saw
    customer_factor   numeric,  -- customer's currency per unit of `currency`
    customer_total    numeric
);

create type erp.order_line_in as (
    reference   text,        -- the order's
    line        integer,     -- 1, 2, 3 …: the order on paper
    article     bigint,      -- the ERP's article
    name        text,        -- as the customer saw it
    options     text,        -- "Size: L, Colour: red"
    quantity    bigint,
    unit_gross  numeric,     -- cents with their fraction, for information: gross is the truth
    gross       bigint,
    vat_rate    numeric,
    vat_country text,
    vat_nature  text         -- at rate 0 only: why (exempt, reverse charge, export), else null or ''
);

create type erp.order_charge_in as (
    reference   text,
    line        integer,
    kind        text,        -- charge, discount
    code        text,        -- the shop's total code: shipping, coupon, cod_fee
    title       text,
    gross       bigint,      -- charge >= 0, discount <= 0; a discount over several rates is several rows
    vat_rate    numeric,
    vat_country text,
    vat_nature  text
);

create type erp.order_vat_in as (
    reference   text,
    vat_rate    numeric,
    vat_country text,
    vat_nature  text,
    gross       bigint,      -- sum of lines and charges of this rate, country and nature
    net         bigint,      -- half up of gross / (1 + rate)
    vat         bigint       -- gross - net
);

create type erp.order_payment_in as (
    reference   text,
    line        integer,
    kind        text,        -- paid, to_collect, credit (store credit, gift card); they add up to the total
    code        text,        -- cod, bank_transfer, paypal
    title       text,
    amount      bigint,
    transaction text         -- the payment provider's, where there is one
);

create type erp.order_cancel_in as (
    reference text,
    why       text
);

create type erp.result as (
    reference text,
    id        bigint,        -- of the customer or order; null when there is none
    ok        boolean,
    existing  boolean,       -- the reference was known before this call
    reason    text,          -- a code of contract.yaml when not ok
    detail    text           -- a sentence for a person, with the figures
);

-- +goose Down
drop type erp.result, erp.order_cancel_in, erp.order_payment_in, erp.order_vat_in, erp.order_charge_in,
    erp.order_line_in, erp.order_in, erp.customer_in, erp.address;
drop schema erp;
