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
-- As they are taken: the first are found without a look at the others. Partial, though no tick is null, so that it can't be used to find an order by
-- its number: it would be walked from end to end for each, and a plan made while few wait is kept when all of a big shop do.
create index on spola.due (shop, tick, order_id) where tick is not null;

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
('gift_card', 'A gift card, or another product, was sold without a line of its own: no article can be meant.', 'Enter the order in the ERP by hand, then set it aside: "applier parked resolve NUMBER --drop --reason …". Gift cards that the shop sells as products follow once they are mapped ("applier articles").'),
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
('never_taken', 'The order is in a final state without ever having been in one that takes it over.', 'Put it into a state of class "taken" in the shop if the ERP shall have it.'),
('before_cut', 'The order was complete before the cut of going live, and nobody has decided about it then: it was cancelled, in a state that is ignored, or not known yet.', 'See whether somebody has entered it in the ERP by hand; then decide: "applier parked resolve NUMBER --take-shop --reason …" takes it over, "--drop" does not.');

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
    kind     text,      -- line, charge, discount, payment, tax
    code     text,
    title    text,
    net      numeric,   -- without VAT; of a payment and a tax the amount itself; discounts and payments are negative
    rate     numeric,   -- VAT in percent; null where there is none to speak of
    guessed  boolean,   -- the rate is likely, but the order may mean another of its rates
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

create type spola.vat as (
    rate     numeric,
    country  text,
    gross    bigint,    -- lines, charges and discounts at this rate
    net      bigint,
    vat      bigint,
    discount bigint     -- what of gross are discounts: 0 or less; null: none
);

-- An order's money in cents.
create type spola.money as (
    total    bigint,     -- lines, charges and discounts
    gross    bigint[],   -- of each part: its cents; of a payment what it pays
    rates    numeric[],  -- of each part, as it was settled
    vat      spola.vat[],
    code     text,       -- of the discounts, put together
    title    text,
    problem  spola.problem,
    vat_open boolean     -- the problem is one that another rate of the charges may mend
);

-- +goose StatementBegin
create function spola.cents(amount numeric) returns bigint language sql immutable parallel safe
return floor(amount * 100 + 0.5)::bigint;
-- +goose StatementEnd

-- Shops that escape for HTML do so before they store: undone exactly once, & last.
-- +goose StatementBegin
create function spola.unescaped(t text) returns text language plpgsql strict immutable parallel safe as $$
begin
    return replace(replace(replace(replace(replace(replace(t, '&quot;', '"'), '&#039;', ''''), '&#39;', ''''), '&lt;', '<'), '&gt;', '>'), '&amp;', '&');
end $$;
-- +goose StatementEnd

-- The planner writes this into each expression that asks for it, so it is short: few texts have an &.
-- +goose StatementBegin
create function spola.html(t text) returns text language sql immutable parallel safe
return case when strpos(t, '&') = 0 then t else spola.unescaped(t) end;
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

-- A member of a JSON object that is a text, as most are without escapes; empty if there is none.
-- +goose StatementBegin
create function spola.json_text(t text, member text) returns text language sql immutable parallel safe
return coalesce(case
    when strpos(t, '"' || member || '":"') = 0 then ''
    when strpos(t, '\"') = 0 and strpos(split_part(split_part(t, '"' || member || '":"', 2), '"', 1), '\') = 0
        then split_part(split_part(t, '"' || member || '":"', 2), '"', 1)
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
create function spola.sorted(ids bigint[]) returns text language sql immutable parallel safe
return (select string_agg(x::text, ',' order by x) from unnest(ids) as x);
-- +goose StatementEnd

-- Most lines have one or none: for these no statement is started.
-- +goose StatementBegin
create function spola.variant(ids bigint[]) returns text language sql immutable parallel safe
return case when cardinality(ids) > 1 then spola.sorted(ids) else coalesce(ids[1]::text, '') end;
-- +goose StatementEnd

-- Cents for the parts of one order whose charges with a guessed rate have the rate `joint`; null: each its own.
--
-- Money is worked out one order at a time, in variables: no table is read, and a statement that did it for
-- many at once took half as long again for an order that came alone, and no less for an order among many.
--
--   1  what stands at each rate of the order, and the VAT that the shop states for it
--   2  does it add up, within what rounding can explain?
--   3  discounts: a shop's VAT rows are already reduced, so what is missing of the VAT of a rate's goods
--      says how much of the discount fell on it; the rest fell on goods without VAT, else on the rate with
--      most: there it is rounding
--   4  the order's total in cents, spread over the rates by largest remainder
--   5  each rate's cents, spread over its parts the same way
-- +goose StatementBegin
create function spola.to_cents_at(parts spola.part[], total numeric, joint numeric) returns spola.money
language plpgsql immutable as $$
declare
    p           spola.part;
    m           spola.money;
    places      int[] := '{}';      -- of each part: of its rate
    fractions   numeric[] := '{}';  -- of each part: of a cent, as long as it has not got one; null: takes no share
    settled     numeric[] := '{}';
    gross       bigint[] := '{}';
    place       int;
    r           numeric;
    exact       numeric;
    -- of each rate
    rates       numeric[] := '{}';
    countries   text[] := '{}';     -- of goods
    states      text[] := '{}';     -- of the VAT row: counts first
    base        numeric[] := '{}';  -- goods: lines and charges
    stated      numeric[] := '{}';  -- the VAT row
    goods       int[] := '{}';
    size        int[] := '{}';
    off         numeric[];          -- what of the discounts fell on it
    floors      bigint[];
    over        numeric[];          -- fraction of a cent
    cents       bigint[];
    discounted  bigint;
    -- of the order
    lines       int := 0;
    codes       text[] := '{}';
    discounts   numeric := 0;
    owed        numeric := 0;
    credit      numeric := 0;
    credit_cents bigint := 0;
    slack       numeric := 0.0002 * (3 + coalesce(cardinality(parts), 0));
    tax_slack   numeric := 0;
    untaxed     numeric := 0;
    rest        numeric;
    most        int;
    left_over   bigint;
    share       bigint;
    n           int;
    wrong       text;
begin
    foreach p in array parts loop
        r := case when p.guessed and joint is not null then joint else p.rate end;
        place := null;
        if r is not null then
            place := array_position(rates, r);
            if place is null then
                place := cardinality(rates) + 1;
                rates[place] := r; base[place] := 0; stated[place] := 0; goods[place] := 0; size[place] := 0;
                countries[place] := null; states[place] := null;
            end if;
            size[place] := size[place] + 1;
        end if;
        case p.kind
            when 'line', 'charge' then
                base[place] := base[place] + p.net;
                goods[place] := goods[place] + 1;
                if p.country < countries[place] or countries[place] is null then
                    countries[place] := p.country;
                end if;
                if p.kind = 'line' then
                    lines := lines + 1;
                end if;
                owed := owed + p.net;
            when 'tax' then
                if place is not null then
                    stated[place] := stated[place] + p.net;
                    if p.country < states[place] or states[place] is null then
                        states[place] := p.country;
                    end if;
                end if;
                owed := owed + p.net;
            when 'discount' then
                discounts := discounts + p.net;
                owed := owed + p.net;
                if not p.code = any (codes) then
                    codes := array_append(codes, p.code);
                end if;
                m.title := concat_ws(', ', m.title, p.title);
            when 'payment' then
                credit := credit + p.net;
                credit_cents := credit_cents + spola.cents(-p.net);
            else  -- a row that intake can't class
        end case;
        if (m.problem).reason is null and (p.problem).reason is not null then
            m.problem := p.problem;
        end if;
        places := array_append(places, place);
        settled := array_append(settled, r);
    end loop;

    if (m.problem).reason is null then
        m.problem := case
            when total is null or lines = 0 then row('no_lines', 'It has no lines.', null, null)::spola.problem
            when abs(total) >= 100000000 then row('overflow', format('Its total is %s.', total), null, null)::spola.problem
            when abs(owed + credit - total) > slack then row('sum_open',
                format('Lines and totals add up to %s, the order says %s: difference %s.', round(owed + credit, 4), total, round(owed + credit - total, 4)), null, null)::spola.problem
            when total < 0 then row('negative', format('Its total is %s.', total), null, null)::spola.problem
        end;
    end if;
    if (m.problem).reason is not null and (m.problem).reason in ('no_lines', 'overflow') then
        return m;
    end if;

    rest := -discounts;
    for k in 1 .. cardinality(rates) loop
        off[k] := 0;
        if rates[k] > 0 then
            tax_slack := tax_slack + 0.02 * (2 + size[k]) / rates[k];
            if discounts <> 0 and goods[k] > 0 then
                off[k] := base[k] - stated[k] * 100 / rates[k];
                rest := rest - off[k];
            end if;
        else
            untaxed := untaxed + base[k];
        end if;
        if goods[k] > 0 and (most is null or (rates[k] = 0 and base[k] > 0) > (rates[most] = 0 and base[most] > 0)
            or (rates[k] = 0 and base[k] > 0) = (rates[most] = 0 and base[most] > 0)
                and (base[k] > base[most] or base[k] = base[most] and rates[k] < rates[most])) then
            most := k;
        end if;
    end loop;

    tax_slack := tax_slack + slack;
    for k in 1 .. cardinality(rates) loop
        exit when wrong is not null;
        wrong := case
            when goods[k] = 0 and abs(stated[k]) > slack then format('%s of VAT at %s %% with nothing sold at it', round(stated[k], 4), rates[k])
            when discounts = 0 and abs(base[k] * rates[k] / 100 - stated[k]) > slack then
                format('At %s %% on %s the VAT is %s, the shop says %s', rates[k], round(base[k], 4), round(base[k] * rates[k] / 100, 4), round(stated[k], 4))
            when off[k] < -slack * 100 / nullif(rates[k], 0) then format('At %s %% on %s less discounts the shop says a VAT of %s', rates[k], round(base[k], 4), round(stated[k], 4))
            when discounts <> 0 and k = most and (rest < -tax_slack or rest > untaxed + tax_slack) then
                format('Of the discounts of %s, %s is in no VAT row', round(discounts, 4), round(rest, 4))
            when goods[k] > 0 and base[k] - off[k] - case when k = most then rest else 0 end < -tax_slack then format('At %s %% less than nothing is sold', rates[k])
        end;
    end loop;
    m.vat_open := (m.problem).reason is null and wrong is not null;
    if m.vat_open then
        m.problem := row('vat_open', wrong || '.', null, null)::spola.problem;
    end if;
    if most is null or lines = 0 then
        return m;
    end if;
    if discounts <> 0 then
        off[most] := off[most] + rest;
    end if;

    -- The total over the rates.
    m.total := spola.cents(total) + credit_cents;
    left_over := m.total;
    n := 0;
    for k in 1 .. cardinality(rates) loop
        if goods[k] > 0 then
            exact := (base[k] - off[k]) * (100 + rates[k]);
            floors[k] := floor(exact);
            over[k] := exact - floors[k];
            left_over := left_over - floors[k];
            n := n + 1;
        end if;
    end loop;
    -- Rounding alone leaves 0 to n cents, but amounts cut by the shop may leave some more or less.
    share := floor(left_over::numeric / n);
    left_over := left_over - share * n;
    for k in 1 .. cardinality(rates) loop
        if goods[k] > 0 then
            cents[k] := floors[k] + share;
        end if;
    end loop;
    while left_over > 0 loop
        place := null;
        for k in 1 .. cardinality(rates) loop
            if goods[k] > 0 and over[k] is not null and (place is null or over[k] > over[place] or over[k] = over[place] and rates[k] < rates[place]) then
                place := k;
            end if;
        end loop;
        cents[place] := cents[place] + 1;
        over[place] := null;
        left_over := left_over - 1;
    end loop;

    -- A rate's cents over its parts; its discounts are one more of them, the last.
    for i in 1 .. cardinality(parts) loop
        p := parts[i];
        fractions := array_append(fractions, null);
        if p.kind in ('line', 'charge') then
            exact := p.net * (100 + settled[i]);
            gross := array_append(gross, floor(exact)::bigint);
            fractions[i] := exact - gross[i];
        else
            gross := array_append(gross, case when p.kind = 'payment' then spola.cents(-p.net) end);
        end if;
    end loop;
    n := cardinality(parts);
    for k in 1 .. cardinality(rates) loop
        continue when goods[k] = 0;
        left_over := cents[k];
        for i in 1 .. n loop
            if places[i] = k and fractions[i] is not null then
                left_over := left_over - gross[i];
            end if;
        end loop;
        if abs(off[k]) >= 0.005 then  -- less is what the shop cut off its VAT rows
            exact := -off[k] * (100 + rates[k]);
            gross[n + 1] := floor(exact);
            fractions[n + 1] := exact - gross[n + 1];
            places[n + 1] := k;
            left_over := left_over - gross[n + 1];
            goods[k] := goods[k] + 1;
        else
            fractions[n + 1] := null;
            gross[n + 1] := 0;
        end if;
        share := floor(left_over::numeric / goods[k]);
        left_over := left_over - share * goods[k];
        if share <> 0 then
            for i in 1 .. n + 1 loop
                if places[i] = k and fractions[i] is not null then
                    gross[i] := gross[i] + share;
                end if;
            end loop;
        end if;
        while left_over > 0 loop
            place := null;
            for i in 1 .. n + 1 loop
                if places[i] = k and fractions[i] is not null and (place is null or fractions[i] > fractions[place]) then
                    place := i;
                end if;
            end loop;
            gross[place] := gross[place] + 1;
            fractions[place] := null;
            left_over := left_over - 1;
        end loop;
        discounted := case when abs(off[k]) >= 0.005 then gross[n + 1] end;
        r := round(cents[k] * 100 / (100 + rates[k]));
        m.vat := array_append(m.vat, row(rates[k], coalesce(states[k], countries[k]), cents[k], r, cents[k] - r, discounted)::spola.vat);
    end loop;
    if discounts <> 0 then
        m.code := (select string_agg(c, '+' order by c) from unnest(codes) c);
    end if;
    m.gross := gross[1:n];
    m.rates := settled;
    return m;
end $$;
-- +goose StatementEnd

-- Cents for the parts of a plain order: no discounts, one rate for all lines and charges, and VAT and total that fit.
-- Then the rate's cents are the order's, and only the parts' remainders are to be spread. Null for any other order:
-- to_cents_at gives the same for these, and says what is wrong.
-- +goose StatementBegin
create function spola.to_cents_plain(parts spola.part[], total numeric) returns spola.money
language plpgsql immutable as $$
declare
    p         spola.part;
    m         spola.money;
    rate      numeric   := parts[1].rate;  -- lines come first
    unit      numeric   := 100 + rate;     -- cents of one that is sold without VAT
    fractions numeric[] := '{}';           -- of each part: of a cent, as long as it has not got one; null: takes no share
    gross     bigint[]  := '{}';
    rates     numeric[] := '{}';
    base      numeric   := 0;              -- lines and charges
    stated    numeric   := 0;              -- the VAT rows
    credit    numeric   := 0;
    credit_cents bigint := 0;
    goods     int       := 0;
    exact     numeric;
    whole     bigint;
    left_over bigint    := 0;
    share     bigint;
    most      int;
    country   text;                        -- of goods
    state     text;                        -- of the VAT row: counts first
    slack     numeric   := 0.0002 * (3 + cardinality(parts));
begin
    if parts[1].kind is distinct from 'line' or rate is null then
        return null;
    end if;
    foreach p in array parts loop
        if (p.problem).reason is not null then
            return null;
        elsif p.rate = rate and p.kind in ('line', 'charge') then
            exact := p.net * unit;
            whole := floor(exact);
            fractions := array_append(fractions, exact - whole);
            base := base + p.net;
            left_over := left_over - whole;
            goods := goods + 1;
            country := least(country, p.country);
        elsif p.rate = rate and p.kind = 'tax' then
            whole := null;
            fractions := array_append(fractions, null);
            stated := stated + p.net;
            state := least(state, p.country);
        elsif p.kind = 'payment' and p.rate is null then
            whole := spola.cents(-p.net);
            fractions := array_append(fractions, null);
            credit := credit + p.net;
            credit_cents := credit_cents + whole;
        else
            return null;
        end if;
        gross := array_append(gross, whole);
        rates := array_append(rates, p.rate);
    end loop;
    if not (total between 0 and 99999999 and base >= 0 and abs(base + stated + credit - total) <= slack and abs(base * rate / 100 - stated) <= slack) is true then
        return null;
    end if;
    m.total := spola.cents(total) + credit_cents;
    left_over := left_over + m.total;
    share := floor(left_over::numeric / goods);
    left_over := left_over - share * goods;
    if share <> 0 then
        for i in 1 .. cardinality(parts) loop
            if fractions[i] is not null then
                gross[i] := gross[i] + share;
            end if;
        end loop;
    end if;
    while left_over > 0 loop
        most := null;
        for i in 1 .. cardinality(parts) loop
            if fractions[i] is not null and (most is null or fractions[i] > fractions[most]) then
                most := i;
            end if;
        end loop;
        gross[most] := gross[most] + 1;
        fractions[most] := null;
        left_over := left_over - 1;
    end loop;
    share := round(m.total * 100 / unit);
    m.vat := array[row(rate, coalesce(state, country), m.total, share, m.total - share, null)::spola.vat];
    m.gross := gross;
    m.rates := rates;
    m.vat_open := false;
    return m;
end $$;
-- +goose StatementEnd

-- Cents for the parts of one order. Where the VAT rows fit no charge with a guessed rate, that one of the
-- order's rates counts which leaves nothing of them over.
-- +goose StatementBegin
create function spola.to_cents(parts spola.part[], total numeric) returns spola.money
language plpgsql immutable as $$
declare
    m     spola.money := spola.to_cents_plain(parts, total);
    again spola.money;
    joint numeric;
begin
    if m.gross is not null then
        return m;
    end if;
    m := spola.to_cents_at(parts, total, null);
    if m.vat_open then
        for joint in select distinct p.rate from unnest(parts) p where p.rate is not null order by p.rate desc loop
            again := spola.to_cents_at(parts, total, joint);
            if (again.problem).reason is null then
                return again;
            end if;
        end loop;
    end if;
    return m;
end $$;
-- +goose StatementEnd

-- +goose Down
drop function spola.to_cents, spola.to_cents_plain, spola.to_cents_at, spola.variant, spola.sorted, spola.json_text, spola.json_object, spola.html, spola.unescaped, spola.cents;
drop type spola.money, spola.vat, spola.part, spola.problem;
drop table spola.parked, spola.reason, spola.due, spola.stock_total, spola.consumption, spola.link, spola.article,
    spola.shop_state, spola.province, spola.country, spola.tax_class_rate, spola.tax_title, spola.shop_settings,
    spola.customer_kind, spola.custom_field, spola.nature, spola.payment_method, spola.total_code, spola.state_class, spola.shop;
