-- What intake keeps of a shop: its file, the copy of its settings, links from orders to the ERP,
-- consumption, what waits and what is parked.

-- +goose Up

-- A shop. Intake locks its row first in every batch, so that going live, importing articles and
-- retrying by hand never meet a batch halfway.
create table spola.shop (
    shop             text    primary key check (shop ~ '^[a-z][a-z0-9_]*$'),
    platform         text    not null,
    prefix           text    not null,
    mode             text    not null default 'observe' check (mode in ('observe', 'live')),
    cut              timestamptz,                -- going live: orders that were complete before it are closed
    incarnation      bigint  not null default 1, -- of the shop's database: raised when it was restored
    file             text    not null default '',-- the shop file as last read
    installed        text    not null default '',-- checksum of the canonical schema's SQL
    lookups          int     not null default 0, -- version of the copied settings; 0: none yet, deriving waits
    lookups_due      bigint  default 0,          -- tick at which changed settings have settled; null: the copy is current
    derived          boolean not null default false, -- every order of the first snapshot was derived once
    systemic         int     not null default 20 -- orders parked for one reason within 60 ticks: one more stops the stream
);

-- ---- from the shop file

create table spola.state_class (
    shop   text not null,
    state  text not null,
    method text not null,  -- payment method, its first part (before the point), or * for any
    class  text not null check (class in ('ignored', 'placed', 'taken', 'cancelled', 'final')),
    primary key (shop, state, method)
);

create table spola.total_code (
    shop      text not null,
    code      text not null,
    kind      text not null check (kind in ('charge', 'discount', 'payment', 'tax', 'ignored')),
    rate      numeric,     -- a charge's own VAT rate in percent; null: by its tax class
    tax_class bigint,      -- a charge's tax class in the shop; null: as the shop says
    primary key (shop, code)
);

create table spola.payment_method (
    shop   text not null,
    method text not null,  -- as in state_class
    kind   text not null check (kind in ('paid', 'to_collect')),
    primary key (shop, method)
);

-- Why an order is taxed at 0: by country of delivery and kind of customer; * for any.
create table spola.nature (
    shop    text not null,
    country text not null,
    kind    text not null check (kind in ('private', 'company', 'public', '*')),
    nature  text not null,
    primary key (shop, country, kind)
);

create table spola.custom_field (
    shop    text not null,
    field   text not null,  -- its number in the shop
    meaning text not null check (meaning in ('tax_code', 'vat_number', 'pec', 'sdi', 'invoice_wanted')),
    primary key (shop, field)
);

create table spola.customer_kind (
    shop           text not null,
    customer_group text not null,
    kind           text not null check (kind in ('private', 'company', 'public')),
    primary key (shop, customer_group)
);

-- ---- the versioned copy of the shop's settings and look-ups, written by take_lookups of the platform

create table spola.shop_settings (
    shop      text   primary key,
    timezone  text   not null,  -- of the shop's wall times
    currency  text   not null,  -- of all amounts
    country   text   not null,  -- of the shop, two letters
    consuming text[] not null   -- states in which an order has taken its pieces from the shop's stock
);

create table spola.tax_rate (
    shop      text    not null,
    id        bigint  not null,
    name      text    not null,
    rate      numeric,           -- percent; null: a fixed amount
    country   text,              -- whose VAT it is; null: the country of delivery
    countries text[]  not null,  -- where it applies
    primary key (shop, id)
);
create index on spola.tax_rate (shop, name);

create table spola.tax_class_rate (
    shop           text    not null,
    tax_class      bigint  not null,
    customer_group bigint  not null,
    based          text    not null,  -- shipping, payment, store: whose address decides
    country_id     bigint  not null,
    zone_id        bigint  not null,  -- 0: the whole country
    rate           numeric not null
);
create index on spola.tax_class_rate (shop, tax_class, customer_group, country_id);

create table spola.country (
    shop text   not null,
    id   bigint not null,
    code text   not null,
    primary key (shop, id)
);

create table spola.province (
    shop text   not null,
    id   bigint not null,
    code text   not null,
    primary key (shop, id)
);

create table spola.shop_state (
    shop  text not null,
    state text not null,
    name  text not null,
    primary key (shop, state)
);

-- ---- articles and links

-- Which article of the ERP a product of the shop is. variant names the option values that make it
-- another article, in order: "17,20"; empty for the product itself.
create table spola.article (
    shop    text   not null,
    product text   not null,
    variant text   not null default '',
    article bigint not null,
    by      text   not null check (by in ('sku', 'import')),
    at      timestamptz not null default now(),
    primary key (shop, product, variant)
);

-- An order of the shop that is more than a cart, and its ERP order if it has one. What was decided
-- when it was first derived stays here; only a change of its own rows changes it.
create table spola.link (
    shop        text    not null,
    order_id    bigint  not null,
    incarnation bigint  not null,
    reference   text    not null,  -- by which the ERP knows it
    fingerprint text    not null,  -- what never changes of an order: another one means that its id was used again
    status      text    not null check (status in ('seen', 'parked', 'imported', 'cancelled', 'closed')),
    erp_order   bigint,
    state       text    not null,
    method      text    not null,
    class       text,              -- null: the shop file did not know the state
    revision    bigint  not null,  -- last history row that was derived
    content     text    not null,  -- checksum of the order's own rows as imported
    consuming   boolean not null,  -- its lines stand in consumption with their pieces
    deleted     boolean not null default false,  -- gone from the shop
    derived_at  timestamptz not null default now(),
    primary key (shop, order_id, incarnation)
) with (fillfactor = 90);
create index on spola.link (erp_order) where erp_order is not null;

-- K: pieces that the shop's own code has subtracted for an order, per line and row of the shop's
-- stock. A line that moves no stock has one row with an empty stock_row, for its article.
create table spola.consumption (
    shop        text   not null,
    order_id    bigint not null,
    incarnation bigint not null,
    line        text   not null,  -- product and option values: stays when a shop rewrites its rows
    stock_row   text   not null,  -- product:31, option:17
    article     bigint,           -- of the line; null on a row that only sums up variants, and while unmapped
    pieces      bigint not null,
    primary key (shop, order_id, incarnation, line, stock_row)
) with (fillfactor = 90);

-- Sum of consumption per row of the shop's stock, kept in the same transactions.
create table spola.stock_total (
    shop      text   not null,
    stock_row text   not null,
    k         bigint not null default 0,
    primary key (shop, stock_row)
) with (fillfactor = 50);

-- Orders that are derived again when the source's clock has come to a tick: half-written ones and
-- cancellations that must settle (unsettled), and those that somebody or something asked for.
create table spola.due (
    shop     text    not null,
    order_id bigint  not null,
    tick     bigint  not null,
    settling boolean not null,  -- false: asked for again, settled long ago
    primary key (shop, order_id)
);
create index on spola.due (shop, tick);

-- ---- parked orders

create table spola.reason (
    code text primary key,
    why  text not null,
    mend text not null
);
insert into spola.reason (code, why, mend) values
('unknown_state', 'The shop file has no class for this order state and payment method.', 'Add the state to "states" in the shop file and run the applier again; its orders follow by themselves.'),
('unknown_article', 'A line has no article in the ERP: no mapping, and no article whose SKU is the model.', 'Create the article with that SKU, or map it with "applier articles --import FILE.csv"; the order follows by itself.'),
('multi_stock_options', 'A line has two or more options that keep stock of their own, so no single article is meant.', 'Let one option of the product keep stock, or map the combination with "applier articles --import FILE.csv".'),
('sum_open', 'Lines and totals do not add up to the order''s total, by more than rounding explains.', 'Correct the order in the shop (its totals are built again when it is saved there), or enter it in the ERP by hand.'),
('vat_open', 'The VAT rows do not fit the lines, charges and discounts at any known rate.', 'Correct the order in the shop, or give the charge its rate in "totals" of the shop file, then retry.'),
('unknown_tax', 'A VAT row has a title that is no tax rate of the shop with a percentage.', 'Give the tax rate its old name back in the shop, or correct the order there.'),
('tax_unclear', 'The VAT of a line fits none of the rates of the order.', 'Correct the order in the shop.'),
('unknown_total', 'A row of the totals has a code that the shop file does not class.', 'Add the code to "totals" in the shop file (discount, charge or payment) and run the applier again.'),
('unknown_nature', 'The order is taxed at 0 % and the shop file does not say why for this country and kind of customer.', 'Add the country and kind to "natures" in the shop file and run the applier again.'),
('unknown_country', 'The address names no country that the shop knows.', 'Correct the address in the shop.'),
('deleted_customer', 'The account that placed the order is no longer in the shop.', 'Restore the account, or set the order to guest in the shop.'),
('invalid_text', 'A text of the order can''t be stored in PostgreSQL as it is.', 'Correct the text in the shop.'),
('too_big', 'A row of the order was too big for the log.', 'Shorten it in the shop, or raise max.message.bytes and ask for a snapshot of the table.'),
('no_lines', 'The order has no lines.', 'Correct or delete the order in the shop.'),
('negative', 'The order, or what is sold of one rate, is worth less than nothing.', 'Enter it in the ERP by hand.'),
('overflow', 'An amount or a quantity is larger than an order can have.', 'Correct the order in the shop.'),
('id_used_again', 'The order number belongs to another order that was taken over before: other date, e-mail or invoice prefix.', 'If the shop was restored, run "cdc run --new-incarnation"; otherwise enter the order by hand.'),
('never_taken', 'The order is in a final state without ever having been in one that takes it over.', 'Put it into a state of class "taken" in the shop if the ERP shall have it.');

-- One row an order. Derived again by itself when what it waits for appears, and on request.
create table spola.parked (
    shop      text    not null,
    order_id  bigint  not null,
    reason    text    not null,  -- a code of spola.reason, or the ERP's
    what      text    not null,  -- with the figures and names of this order
    waits_for text,              -- article, state, setting, customer: what mends it; null: the order itself
    waits_key text,              -- which one; an article's is its SKU
    payload   jsonb,             -- what was derived of it
    attempts  int     not null default 1,
    tick      bigint  not null,  -- source's clock when it was first parked for this reason
    first_at  timestamptz not null default now(),
    last_at   timestamptz not null default now(),
    primary key (shop, order_id)
);
create index on spola.parked (shop, reason, tick);
create index on spola.parked (shop, waits_for, waits_key) where waits_for is not null;

-- ---- types and functions that do not depend on a platform

create type spola.problem as (reason text, what text, waits_for text, waits_key text);

-- A part of an order as the platform's view gives it: a line, or a row of its totals.
create type spola.part as (
    order_id bigint,
    seq      int,
    kind     text,      -- line, charge, discount, payment, tax; total: one per order, the amount to pay
    code     text,
    title    text,
    net      numeric,   -- without VAT; of a payment, tax and total the amount itself; discounts and payments are negative
    rate     numeric,   -- VAT in percent; null where there is none to speak of
    country  text,      -- whose VAT
    quantity bigint,    -- of a line, as all that follows
    product  text,
    variant  text,
    options  text,
    article  bigint,
    sku      boolean,   -- the article was found by its SKU
    rows     text[],    -- rows of the shop's stock that its code subtracts from
    problem  spola.problem
);

create type spola.priced as (part spola.part, gross bigint);
create type spola.vat as (rate numeric, country text, gross bigint, net bigint, vat bigint);

-- An order's money in cents.
create type spola.money as (
    order_id bigint,
    total    bigint,          -- lines, charges and discounts
    parts    spola.priced[],  -- these, with their cents
    vat      spola.vat[],
    credits  spola.priced[],  -- payments that the totals name
    problem  spola.problem,
    vat_open boolean          -- the problem is one that another rate of the charges may mend
);

-- +goose StatementBegin
create function spola.cents(amount numeric) returns bigint language sql immutable parallel safe
return floor(amount * 100 + 0.5)::bigint;
-- +goose StatementEnd

-- Shops that escape for HTML do so before they store: undone exactly once, & last.
-- +goose StatementBegin
create function spola.html(t text) returns text language sql immutable parallel safe
return case when strpos(t, '&') = 0 then t else
    replace(replace(replace(replace(replace(replace(t, '&quot;', '"'), '&#039;', ''''), '&#39;', ''''), '&lt;', '<'), '&gt;', '>'), '&amp;', '&') end;
-- +goose StatementEnd

-- Null for what is no JSON object.
-- +goose StatementBegin
create function spola.json_object(t text) returns jsonb language plpgsql immutable parallel safe as $$
declare j jsonb;
begin
    j := t::jsonb;
    return case when jsonb_typeof(j) = 'object' then j end;
exception when others then
    return null;
end $$;
-- +goose StatementEnd

-- Cents for the parts of orders (design: Money). All in one pass over the parts, without a join, so
-- that the cost is that of sorting them whatever the planner believes.
--
--   by_rate   what stands at each rate, and the VAT that the shop states for it
--   split     discounts: a shop's VAT rows are already reduced, so what is missing of the VAT of
--             a rate's goods says how much of the discount fell on it; the rest fell on what has none
--   rounded   the order's total in cents, spread over the rates by largest remainder
--   priced    each rate's cents, spread over its parts the same way
-- +goose StatementBegin
create function spola.to_cents(parts spola.part[]) returns setof spola.money
language plpgsql stable set enable_nestloop = off set jit = off as $$
begin
return query
with ordered as (
    select p.*, p as part,
        sum(p.net) filter (where p.kind = 'discount') over o as discounts,
        sum(p.net) filter (where p.kind in ('line', 'charge', 'discount', 'tax')) over o as owed,
        sum(p.net) filter (where p.kind = 'payment') over o as credit,
        sum(spola.cents(-p.net)) filter (where p.kind = 'payment') over o as credit_cents,
        min(p.net) filter (where p.kind = 'total') over o as total,
        count(*) filter (where p.kind = 'line') over o as lines,
        bool_or((p.problem).reason is not null) over o as spoiled,
        0.0002 * (2 + count(*) over o) as slack
    from unnest(parts) as p
    window o as (partition by p.order_id)
),
by_rate as (
    select order_id, rate,
        coalesce(min(discounts), 0) as discounts, min(total) as total, coalesce(min(owed), 0) as owed,
        coalesce(min(credit), 0) as credit, coalesce(min(credit_cents), 0)::bigint as credit_cents,
        min(lines) as lines, min(slack) as slack, bool_or(spoiled) as spoiled,
        coalesce(min(country) filter (where kind = 'tax'), min(country)) as country,
        coalesce(sum(net) filter (where kind in ('line', 'charge')), 0) as base,
        coalesce(sum(net) filter (where kind = 'tax'), 0) as stated,
        array_agg(part order by seq) filter (where kind in ('line', 'charge')) as goods,
        array_agg(row(part, spola.cents(-net))::spola.priced order by seq) filter (where kind = 'payment') as credits,
        string_agg(distinct code, '+') filter (where kind = 'discount') as discount_code,
        string_agg(title, ', ' order by seq) filter (where kind = 'discount') as discount_title,
        (array_agg(problem order by seq) filter (where (problem).reason is not null))[1] as problem
    from ordered
    group by order_id, rate
),
missing as (
    select *,
        case when rate > 0 and discounts <> 0 then greatest(base - stated * 100 / rate, 0) else 0 end as off,
        case when rate > 0 and discounts <> 0 then base - stated * 100 / rate < -slack * 100 / rate else false end as odd
    from by_rate
),
split as (
    select *,
        -- What is left of the discounts goes to the goods without VAT, else to the largest rate: there it is rounding.
        -discounts - sum(off) over o as rest,
        max(case when rate = 0 then base else 0 end) over o as untaxed,
        sum(case when rate > 0 then slack * 100 / rate else 0 end) over o + slack as discount_slack,
        row_number() over (partition by order_id order by goods is null, case when rate = 0 and base > 0 then 0 else 1 end, base desc, rate) as place,
        max(discount_code) over o as all_codes, max(discount_title) over o as all_titles
    from missing
    window o as (partition by order_id)
),
grouped as (
    select *,
        case when discounts <> 0 and goods is not null then off + case when place = 1 then rest else 0 end else 0 end as reduced
    from split
),
checked as (
    select *,
        (base - reduced) * (1 + coalesce(rate, 0) / 100) as gross,
        case
            when spoiled then problem
            when total is null or lines = 0 then row('no_lines', 'It has no lines.', null, null)::spola.problem
            when abs(total) >= 100000000 then row('overflow', format('Its total is %s.', total), null, null)::spola.problem
            when abs(owed + credit - total) > slack then
                row('sum_open', format('Lines and totals add up to %s, the order says %s: difference %s.', owed + credit, total, owed + credit - total), null, null)::spola.problem
            when total < 0 then row('negative', format('Its total is %s.', total), null, null)::spola.problem
        end as wrong,
        case
            when goods is null and abs(stated) > slack and rate is not null then format('%s of VAT at %s %% with nothing sold at it', stated, rate)
            when discounts = 0 and rate is not null and abs(base * rate / 100 - stated) > slack then
                format('at %s %% on %s the VAT is %s, the shop says %s', rate, base, round(base * rate / 100, 4), stated)
            when odd then format('at %s %% on %s less discounts the shop says a VAT of %s', rate, base, stated)
            when discounts <> 0 and place = 1 and (rest < -discount_slack or rest > untaxed + discount_slack) then
                format('of the discounts of %s, %s is in no VAT row', discounts, rest)
            when goods is not null and base - reduced < -discount_slack then format('at %s %% less than nothing is sold', rate)
        end as vat_wrong
    from grouped
),
owing as (
    select *, floor(gross * 100)::bigint as floor_cents,
        spola.cents(total) + credit_cents as cents
    from checked
),
spread as (
    select *,
        cents - sum(floor_cents) filter (where goods is not null) over o as over,
        count(*) filter (where goods is not null) over o as rates,
        row_number() over (partition by order_id order by goods is null, gross * 100 - floor_cents desc, rate) as rank
    from owing
    window o as (partition by order_id)
),
rounded as (
    select order_id, rate, country, cents, goods, credits, reduced, all_codes, all_titles, wrong, vat_wrong,
        floor_cents + case when goods is null then 0 else div(over, rates) - case when mod(over, rates) < 0 then 1 else 0 end
            + case when rank <= mod(mod(over, rates) + rates, rates) then 1 else 0 end end as rate_cents
    from spread
),
pieces as (
    select r.*, g.part, g.exact
    from rounded r
    left join lateral (
        select p as part, p.net * (1 + r.rate / 100) * 100 as exact
        from unnest(r.goods) as p
        union all
        select row(r.order_id, 1000000, 'discount', r.all_codes, r.all_titles, -r.reduced, r.rate, r.country,
                null, null, null, null, null, null, null, null)::spola.part, -r.reduced * (1 + r.rate / 100) * 100
        where r.reduced <> 0 and r.goods is not null
    ) g on true
),
shares as (
    select *,
        rate_cents - sum(floor(exact)) over o as over,
        count(exact) over o as n,
        row_number() over (partition by order_id, rate order by exact - floor(exact) desc nulls last, (part).seq) as rank,
        row_number() over (partition by order_id, rate order by (part).seq) as first
    from pieces
    window o as (partition by order_id, rate)
)
select order_id, min(cents)::bigint,
    array_agg(row(part, floor(exact) + div(over, n) - case when mod(over, n) < 0 then 1 else 0 end
        + case when rank <= mod(mod(over, n) + n, n) then 1 else 0 end)::spola.priced order by (part).seq, rate)
        filter (where exact is not null),
    array_agg(row(rate, country, rate_cents, round(rate_cents / (1 + rate / 100)), rate_cents - round(rate_cents / (1 + rate / 100)))::spola.vat order by rate)
        filter (where first = 1 and goods is not null),
    (array_agg(credits) filter (where first = 1 and credits is not null)),
    coalesce((array_agg(wrong) filter (where (wrong).reason is not null))[1],
        case when count(vat_wrong) > 0 then row('vat_open', initcap(left(min(vat_wrong), 1)) || substr(min(vat_wrong), 2) || '.', null, null)::spola.problem end),
    count((wrong).reason) = 0 and count(vat_wrong) > 0
from shares
group by order_id;
end $$;
-- +goose StatementEnd

-- +goose Down
drop function spola.to_cents, spola.json_object, spola.html, spola.cents;
drop type spola.money, spola.vat, spola.priced, spola.part, spola.problem;
drop table spola.parked, spola.reason, spola.due, spola.stock_total, spola.consumption, spola.link, spola.article,
    spola.shop_state, spola.province, spola.country, spola.tax_class_rate, spola.tax_rate, spola.shop_settings,
    spola.customer_kind, spola.custom_field, spola.nature, spola.payment_method, spola.total_code, spola.state_class, spola.shop;
