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

-- Why an order is taxed at 0: by country of delivery and kind of customer. EU and * stand for countries
-- as nature_of says; kind * for any.
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
    shop       text   primary key,
    timezone   text   not null,  -- of the shop's wall times
    currency   text   not null,  -- of all amounts
    country    text   not null,  -- of the shop, two letters
    country_id bigint not null, -- as the shop's tables name it
    consuming  text[] not null  -- states in which an order has taken its pieces from the shop's stock
);

-- What a VAT row's title means for an order delivered to a country: resolved when it is copied, since
-- two rates may have one name.
create table spola.tax_title (
    shop       text    not null,
    title      text    not null,
    country_id bigint  not null,  -- of delivery
    rate       numeric,           -- percent; null: a fixed amount
    country    text    not null,  -- whose VAT it is
    primary key (shop, title, country_id)
);

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
('unknown_article', 'A line has no article in the ERP: no mapping, and no article whose SKU is the model, which counts for products without options that keep stock.', 'Write product, option values and the SKU of the ERP into a file and run "applier articles --import FILE.csv" (it says how), or create an article with the model as its SKU; the order follows by itself.'),
('multi_stock_options', 'A line has two or more options that keep stock of their own, so no single article is meant.', 'Let one option of the product keep stock, or map the combination with "applier articles --import FILE.csv".'),
('sum_open', 'Lines and totals do not add up to the order''s total, by more than rounding explains.', 'Correct the order in the shop (its totals are built again when it is saved there), or enter it in the ERP by hand.'),
('vat_open', 'The VAT rows do not fit the lines, charges and discounts at any known rate.', 'Correct the order in the shop, or give the charge its rate in "totals" of the shop file, then retry.'),
('unknown_tax', 'A VAT row has a title that is no tax rate of the shop with a percentage.', 'Give the tax rate its old name back in the shop, or correct the order there.'),
('tax_unclear', 'The VAT of a line fits none of the rates of the order. A tax that is a fixed amount a piece ("Eco Tax") is among it, and is no VAT.', 'Take fixed amounts out of the shop''s tax classes (they belong into the price) and save the order there, or enter it in the ERP by hand.'),
('unknown_total', 'A row of the totals has a code that the shop file does not class.', 'Add the code to "totals" in the shop file (discount, charge or payment) and run the applier again.'),
('unknown_nature', 'The order is taxed at 0 % and the shop file does not say why for this country and kind of customer.', 'If it ought to be taxed, correct the shop''s tax zones and the order; else add country and kind to "natures" in the shop file and start the applier again.'),
('unknown_country', 'The address names no country that the shop knows.', 'Correct the address in the shop.'),
('invalid_text', 'A text of the order can''t be stored in PostgreSQL as it is.', 'Correct the text in the shop.'),
('too_big', 'A row of the order was too big for the log.', 'Shorten it in the shop, or raise max.message.bytes and ask for a snapshot of the table.'),
('no_lines', 'The order has no lines.', 'Correct or delete the order in the shop.'),
('negative', 'The order, or what is sold of one rate, is worth less than nothing.', 'Enter it in the ERP by hand.'),
('overflow', 'An amount or a quantity is larger than an order can have.', 'Correct the order in the shop.'),
('id_used_again', 'The order number belongs to another order that was taken over before: other date or invoice prefix.', 'If the shop was restored, run "cdc run --new-incarnation"; otherwise enter the order by hand.'),
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
    by_sku   boolean,   -- it has no option that keeps stock: its article may be found by SKU
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

-- The whole cents that place `rank` of n gets when `over` of them are to be spread. Rounding alone leaves
-- 0 to n, but amounts cut by the shop may leave some more or less.
-- +goose StatementBegin
create function spola.share(over numeric, n bigint, rank bigint) returns numeric language sql immutable parallel safe
return floor(over / n) + case when rank <= over - floor(over / n) * n then 1 else 0 end;
-- +goose StatementEnd

-- Shops that escape for HTML do so before they store: undone exactly once, & last.
-- +goose StatementBegin
create function spola.html(t text) returns text language sql immutable parallel safe
return case when strpos(t, '&') = 0 then t else
    replace(replace(replace(replace(replace(replace(t, '&quot;', '"'), '&#039;', ''''), '&#39;', ''''), '&lt;', '<'), '&gt;', '>'), '&amp;', '&') end;
-- +goose StatementEnd

-- Null for what is no JSON object. The block that catches is dear: callers look for a { first.
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

-- A member of a JSON object that is a text without escapes, as most are; empty if there is none.
-- +goose StatementBegin
create function spola.json_text(t text, member text) returns text language sql immutable parallel safe
return coalesce(case
    when strpos(t, '"' || member || '":"') = 0 then ''
    when strpos(t, '\') = 0 then split_part(split_part(t, '"' || member || '":"', 2), '"', 1)
    else spola.json_object(t) ->> member end, '');
-- +goose StatementEnd

-- Why a delivery to a country is taxed at 0: by the country's own line; else that of EU for its
-- members, and of * for all outside. Neither is for the shop's own country, where a sale is no export.
-- Null if no line fits.
-- +goose StatementBegin
create function spola.nature_of(of_shop text, of_country text, of_kind text) returns text language sql stable
return (
    select n.nature from spola.nature n
    where n.shop = of_shop and n.kind in (of_kind, '*') and n.country in (of_country, case
        when of_country = (select s.country from spola.shop_settings s where s.shop = of_shop) then null
        when of_country = any ('{AT,BE,BG,CY,CZ,DE,DK,EE,ES,FI,FR,GR,HR,HU,IE,IT,LT,LU,LV,MT,NL,PL,PT,RO,SE,SI,SK}') then 'EU'
        else '*' end)
    order by n.country <> of_country, n.kind = '*'
    limit 1);
-- +goose StatementEnd

-- Sorted option values as a key: {20,17} is 17,20.
-- +goose StatementBegin
create function spola.variant(ids bigint[]) returns text language sql immutable parallel safe
return case when ids is null then '' when cardinality(ids) = 1 then ids[1]::text
    else (select string_agg(x::text, ',' order by x) from unnest(ids) as x) end;
-- +goose StatementEnd

-- Cents for the parts of orders: design, Money. Set-based, with one sort of the parts themselves; what
-- stands at a rate is small.
--
--   by_rate   what stands at each rate, and the VAT that the shop states for it
--   shared    discounts: a shop's VAT rows are already reduced, so what is missing of the VAT of a
--             rate's goods says how much of the discount fell on it; the rest fell on goods without VAT
--   checked   does it add up, within what rounding can explain?
--   rounded   the order's total in cents, spread over the rates by largest remainder
--   priced    each rate's cents, spread over its parts the same way
-- +goose StatementBegin
create function spola.to_cents(parts spola.part[]) returns setof spola.money
language plpgsql stable set enable_nestloop = off set jit = off set plan_cache_mode = force_generic_plan as $$
begin
return query
with by_rate as materialized (
    select p.order_id, p.rate,
        coalesce(min(p.country) filter (where p.kind = 'tax'), min(p.country)) as country,
        coalesce(sum(p.net) filter (where p.kind in ('line', 'charge')), 0) as base,
        coalesce(sum(p.net) filter (where p.kind = 'tax'), 0) as stated,
        sum(p.net) filter (where p.kind = 'discount') as discount,
        sum(p.net) filter (where p.kind = 'payment') as credit,
        sum(spola.cents(-p.net)) filter (where p.kind = 'payment') as credit_cents,
        min(p.net) filter (where p.kind = 'total') as total,
        count(*) filter (where p.kind = 'line') as lines,
        count(*) filter (where p.kind in ('line', 'charge')) as goods,
        count(*) as n,
        string_agg(distinct p.code, '+') filter (where p.kind = 'discount') as code,
        string_agg(p.title, ', ') filter (where p.kind = 'discount') as title,
        (array_agg(p.problem) filter (where (p.problem).reason is not null))[1] as problem
    from unnest(parts) as p
    group by p.order_id, p.rate
),
by_order as materialized (
    select order_id,
        coalesce(sum(discount), 0) as discounts, coalesce(sum(base), 0) + coalesce(sum(discount), 0) + coalesce(sum(stated), 0) as owed,
        coalesce(sum(credit), 0) as credit, coalesce(sum(credit_cents), 0)::bigint as credit_cents, min(total) as total,
        sum(lines) as lines, sum(goods) as goods, 0.0002 * (2 + sum(n)) as slack, max(code) as code, max(title) as title,
        sum(base) filter (where rate = 0) as untaxed,
        sum(0.02 * (2 + n) / rate) filter (where rate > 0) as tax_slack,
        (array_agg(problem) filter (where (problem).reason is not null))[1] as problem
    from by_rate
    group by order_id
),
shared as (
    select r.order_id, r.rate, r.country, r.base, r.stated, r.goods, o.discounts, o.credit_cents, o.total, o.slack, o.code, o.title,
        coalesce(o.untaxed, 0) as untaxed, coalesce(o.tax_slack, 0) + o.slack as discount_slack,
        case when o.discounts = 0 or r.goods = 0 or r.rate = 0 then 0 else r.base - r.stated * 100 / r.rate end as off,
        case
            when (o.problem).reason is not null then o.problem
            when o.total is null or o.lines = 0 then row('no_lines', 'It has no lines.', null, null)::spola.problem
            when abs(o.total) >= 100000000 then row('overflow', format('Its total is %s.', o.total), null, null)::spola.problem
            when abs(o.owed + o.credit - o.total) > o.slack then row('sum_open',
                format('Lines and totals add up to %s, the order says %s: difference %s.', o.owed + o.credit, o.total, o.owed + o.credit - o.total), null, null)::spola.problem
            when o.total < 0 then row('negative', format('Its total is %s.', o.total), null, null)::spola.problem
        end as problem
    from by_rate r
    join by_order o on o.order_id = r.order_id
    where r.rate is not null or r.total is not null
),
-- What is left of the discounts goes to the goods without VAT, else to the rate with most: there it is rounding.
placed as (
    select *, -discounts - sum(off) over (partition by order_id) as rest,
        row_number() over (partition by order_id order by goods = 0, not (rate = 0 and base > 0), base desc, rate) as place
    from shared
),
reduced as (
    select *, case when discounts = 0 or goods = 0 then 0 else off + case when place = 1 then rest else 0 end end as off_net
    from placed
),
checked as (
    select *, case when goods > 0 then floor((base - off_net) * (100 + rate)) end as floor_cents,
        case when goods > 0 then (base - off_net) * (100 + rate) end as exact,
        case
            when goods = 0 and rate is not null and abs(stated) > slack then format('%s of VAT at %s %% with nothing sold at it', stated, rate)
            when discounts = 0 and rate is not null and abs(base * rate / 100 - stated) > slack then
                format('At %s %% on %s the VAT is %s, the shop says %s', rate, base, round(base * rate / 100, 4), stated)
            when off < -slack * 100 / nullif(rate, 0) then format('At %s %% on %s less discounts the shop says a VAT of %s', rate, base, stated)
            when discounts <> 0 and place = 1 and (rest < -discount_slack or rest > untaxed + discount_slack) then
                format('Of the discounts of %s, %s is in no VAT row', discounts, rest)
            when goods > 0 and base - off_net < -discount_slack then format('At %s %% less than nothing is sold', rate)
        end as vat_wrong
    from reduced
),
spread as (
    select *,
        row_number() over (partition by order_id order by exact - floor_cents desc nulls last, rate) as rank,
        sum(floor_cents) over (partition by order_id) as floors,
        count(floor_cents) over (partition by order_id) as rates,
        max(total) over (partition by order_id) as amount
    from checked
),
rounded as materialized (
    select order_id, rate, country, goods, off_net, code, title, problem, vat_wrong, spola.cents(amount) + credit_cents as cents,
        case when goods > 0 then floor_cents + spola.share(spola.cents(amount) + credit_cents - floors, rates, rank) end as rate_cents
    from spread
),
pieces as (
    select p.order_id, p.rate, p as part, p.seq, p.net * (100 + p.rate) as exact, r.rate_cents
    from unnest(parts) as p
    join rounded r on r.order_id = p.order_id and r.rate = p.rate
    where p.kind in ('line', 'charge')
    union all
    select r.order_id, r.rate, row(r.order_id, 2147483647, 'discount', r.code, r.title, -r.off_net, r.rate, r.country,
            null, null, null, null, null, null, null, null)::spola.part, 2147483647, -r.off_net * (100 + r.rate), r.rate_cents
    from rounded r
    where abs(r.off_net) >= 0.005 and r.goods > 0 -- less is what the shop cut off its VAT rows
),
priced as (
    select order_id, array_agg(row(part, floor(exact) + spola.share(rate_cents - floors, n, rank))::spola.priced) as parts
    from (
        select *, row_number() over w as rank, sum(floor(exact)) over (partition by order_id, rate) as floors, count(*) over (partition by order_id, rate) as n
        from pieces
        window w as (partition by order_id, rate order by exact - floor(exact) desc, seq)
    ) s
    group by order_id
),
credited as (
    select p.order_id, array_agg(row(p, spola.cents(-p.net))::spola.priced) as credits
    from unnest(parts) as p
    where p.kind = 'payment'
    group by p.order_id
),
summed as (
    select order_id, min(cents) as cents,
        array_agg(row(rate, country, rate_cents, round(rate_cents * 100 / (100 + rate)), rate_cents - round(rate_cents * 100 / (100 + rate)))::spola.vat)
            filter (where goods > 0) as vat,
        (array_agg(problem) filter (where (problem).reason is not null))[1] as problem, min(vat_wrong) as vat_wrong
    from rounded
    group by order_id
)
select s.order_id, s.cents, p.parts, s.vat, c.credits,
    case when (s.problem).reason is null and s.vat_wrong is not null then row('vat_open', s.vat_wrong || '.', null, null)::spola.problem else s.problem end,
    (s.problem).reason is null and s.vat_wrong is not null
from summed s
left join priced p on p.order_id = s.order_id
left join credited c on c.order_id = s.order_id;
end $$;
-- +goose StatementEnd

-- +goose Down
drop function spola.to_cents, spola.variant, spola.json_text, spola.json_object, spola.html, spola.share, spola.cents;
drop type spola.money, spola.vat, spola.priced, spola.part, spola.problem;
drop table spola.parked, spola.reason, spola.due, spola.stock_total, spola.consumption, spola.link, spola.article,
    spola.shop_state, spola.province, spola.country, spola.tax_class_rate, spola.tax_title, spola.shop_settings,
    spola.customer_kind, spola.custom_field, spola.nature, spola.payment_method, spola.total_code, spola.state_class, spola.shop;
