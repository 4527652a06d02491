-- Going live: what becomes of the orders that the shop has already. Runs on one connection, in temporary tables:
-- golive has an order a row, golive_erp the ERP's orders that no shop has. {canonical} is the shop's canonical schema.

-- name: orders
create temp table golive (
    order_id    bigint primary key,
    incarnation bigint not null,
    state       text not null,
    class       text,
    before      boolean,                      -- complete before the cut
    placed_at   timestamptz,
    total       bigint,
    customer    text,
    decision    text,                         -- import, adopt, close; null: a person must say
    erp_order   bigint,                       -- adopt: which
    asked       boolean,                      -- a person must have seen it
    why         text not null default '',
    revision    bigint,                       -- as it was looked at
    content     text
)

-- name: fits
-- Orders of the ERP that an order may be. The stronger tie counts: 3 the shop's number, 2 e-mail, VAT number or tax code, 1 a
-- name or company.
create temp table golive_fit (order_id bigint not null, erp_order bigint not null, strength int not null)

-- name: owns
-- Whose an order is, of those where it matters. Texts are folded as those of golive_erp are.
create temp table golive_own (order_id bigint primary key, account text, customer erp.customer_in,
    email text, vat_number text, tax_code text, name text, company text)

-- name: fill
-- Orders that are something, and that the ERP has not. Carts and cancelled orders are nobody's. Those that a shop has kept over a restore are as
-- good as any; those that it has lost are deleted.
insert into golive (order_id, incarnation, state, class, revision, content)
select l.order_id, l.incarnation, l.state, l.class, l.revision, l.content
from spola.link l
where l.shop = $1 and l.erp_order is null and not l.deleted and l.status in ('seen', 'parked')
    and coalesce(l.class, '') not in ('ignored', 'cancelled')

-- name: look
-- $1 ids, $2 the cut. Order by order: two sets of unknown size would be joined each with each.
update golive g
set before = h.begun < $2, placed_at = w.placed_at, total = w.total, customer = w.customer
from {canonical}.heads($1) h
cross join lateral {canonical}.glance(array[h.order_id]) w
where g.order_id = h.order_id

-- name: erp
-- Those that may be an order of the shop; $1 is when its first one was placed. Texts are folded once.
create temp table golive_erp as
select o.order_id, o.number, o.total, o.placed_at, nullif(o.shop_number, '') as shop_number,
    nullif(lower(trim(c.email)), '') as email, nullif(upper(regexp_replace(c.vat_number, '^[A-Za-z]{2}|[^0-9A-Za-z]', '', 'g')), '') as vat_number,
    nullif(upper(trim(c.tax_code)), '') as tax_code, nullif(lower(trim(concat_ws(' ', c.first_name, c.last_name))), '') as name,
    nullif(lower(trim(c.company)), '') as company
from erp.orders o
left join erp.customers c on c.customer_id = o.customer_id
where o.reference is null and o.state <> 'cancelled' and o.placed_at >= $1::timestamptz - interval '1 day'

-- name: index
create index on golive_erp (total, placed_at);
create index on golive_erp (shop_number);
create index on golive_erp (order_id);
create index on golive_erp (number)

-- name: near
-- Orders whose customer must be known: the ERP has one of equal total, entered between a day before and a week behind. Each is looked
-- up (offset 0): thousands may have one total.
select g.order_id
from golive g
where exists (
    select from golive_erp e
    where e.total = g.total and e.placed_at between g.placed_at - interval '1 day' and g.placed_at + interval '7 days'
    offset 0)
order by g.order_id

-- name: own
-- $1 ids.
insert into golive_own (order_id, account, customer, email, vat_number, tax_code, name, company)
select o.order_id, o.account, o.customer, (o.customer).email, upper(regexp_replace((o.customer).vat_number, '^[A-Za-z]{2}|[^0-9A-Za-z]', '', 'g')),
    upper(trim((o.customer).tax_code)), lower(trim(concat_ws(' ', (o.customer).first_name, (o.customer).last_name))), lower(trim((o.customer).company))
from {canonical}.orders($1) o
on conflict do nothing

-- name: numbered
-- The shop's own number, written down by the clerk, goes for date and customer.
insert into golive_fit (order_id, erp_order, strength)
select g.order_id, e.order_id, 3
from golive g
join golive_erp e on e.total = g.total and e.shop_number = g.order_id::text

-- name: same
-- $1 strength: 2 by e-mail, VAT number or tax code, 1 by name or company. Of equal total, entered between a day before and a week behind
-- the order, of the same customer. The strongest ties of an order, and of an order of the ERP, count: what has a stronger one is not
-- joined at all, nor are any by total and date alone. Where most orders have one price, or many customers one name, that would be each with each.
with mine as materialized (
    select g.order_id, g.total, g.placed_at, k.kind, k.key
    from golive g
    join golive_own o on o.order_id = g.order_id
    cross join lateral (values ('email', o.email, 2), ('vat', o.vat_number, 2), ('tax', o.tax_code, 2), ('name', o.name, 1), ('company', o.company, 1)) as k(kind, key, strength)
    where k.strength = $1::int and k.key is not null and not exists (select from golive_fit f where f.order_id = g.order_id)
), theirs as materialized (
    select e.order_id, e.total, e.placed_at, k.kind, k.key
    from golive_erp e
    cross join lateral (values ('email', e.email, 2), ('vat', e.vat_number, 2), ('tax', e.tax_code, 2), ('name', e.name, 1), ('company', e.company, 1)) as k(kind, key, strength)
    where k.strength = $1::int and k.key is not null and not exists (select from golive_fit f where f.erp_order = e.order_id)
)
insert into golive_fit (order_id, erp_order, strength)
select distinct m.order_id, t.order_id, $1::int
from mine m
join theirs t on t.total = m.total and t.kind = m.kind and t.key = m.key
where t.placed_at between m.placed_at - interval '1 day' and m.placed_at + interval '7 days'

-- name: propose
-- One to one is adopted, if a person confirms it; anything else that fits is his to say. What the ERP does not have: open
-- orders are taken, done ones closed.
with mine as (
    select t.order_id, array_agg(t.erp_order order by t.erp_order) as fits from golive_fit t group by t.order_id
), rivals as (
    select t.erp_order, array_agg(t.order_id order by t.order_id) as orders from golive_fit t group by t.erp_order
), verdict as (
    select g.order_id, m.fits,
        case
            when cardinality(m.fits) > 1 or cardinality(r.orders) > 1 then null
            when cardinality(m.fits) = 1 then 'adopt'
            when g.class in ('taken', 'placed') then 'import'
            else 'close'
        end as decision,
        case
            when cardinality(m.fits) > 1 then format('the ERP''s orders %s all fit: adopt one of them', (
                select string_agg(e.number, ', ' order by e.number) from golive_erp e where e.order_id = any (m.fits)))
            when cardinality(r.orders) > 1 then format('the ERP''s order %s fits the shop''s orders %s: adopt it for one of them',
                (select e.number from golive_erp e where e.order_id = m.fits[1]), array_to_string(r.orders, ', '))
            when cardinality(m.fits) = 1 then 'same total, date and customer'
            when g.class = 'taken' and g.before then 'open in the shop, unknown to the ERP'
            when g.class = 'placed' then 'follows when it is paid'
            when g.class = 'final' and not g.before then 'done in the shop without the ERP'
            when g.class is null then format('state %s has no class', g.state)
            else ''
        end as why
    from golive g
    left join mine m on m.order_id = g.order_id
    left join rivals r on r.erp_order = m.fits[1] and cardinality(m.fits) = 1
)
update golive g
set decision = v.decision, why = v.why, erp_order = case when v.decision = 'adopt' then v.fits[1] end,
    asked = case v.decision when 'import' then g.before when 'close' then not g.before else true end
from verdict v
where v.order_id = g.order_id

-- name: file
-- Those before the cut, and whatever a person must have seen; what wants most of his attention first.
select coalesce(g.decision, ''), g.order_id, coalesce(e.number, ''), g.placed_at, coalesce(g.total, 0), coalesce(g.customer, ''),
    g.state || coalesce(' ' || t.name, ''), g.why
from golive g
left join golive_erp e on e.order_id = g.erp_order
left join spola.shop_state t on t.shop = $1 and t.state = g.state
where g.before or g.asked
order by case g.decision when 'adopt' then 1 when 'import' then 2 when 'close' then 3 else 0 end, g.asked desc, g.order_id desc

-- name: said
create temp table golive_said (line int not null, order_id bigint not null, decision text not null, erp_number text not null,
    anyway boolean not null)  -- adopted though the totals differ

-- name: contradict
-- What is wrong with the lines of a file: line and sentence, the first twenty. A line about an order that was cancelled or
-- deleted since is not wrong; it is passed over.
with adopted as (
    select s.line, s.order_id, s.erp_number, s.anyway, count(e.order_id) as n, min(e.total) as erp_total
    from golive_said s left join golive_erp e on e.number = s.erp_number where s.decision = 'adopt' group by s.line, s.order_id, s.erp_number, s.anyway
)
select w.line, w.what
from (
    select s.line, format('the shop has no order %s that is more than a cart', s.order_id) as what
    from golive_said s where not exists (select from spola.link l where l.shop = $1 and l.order_id = s.order_id)
    union all
    select a.line, format('the ERP has no order %L that no shop has; order %s can''t be it', a.erp_number, a.order_id) from adopted a where a.n = 0
    union all
    select a.line, format('%s orders of the ERP have the number %L', a.n, a.erp_number) from adopted a where a.n > 1
    union all
    select a.line, format('the ERP''s order %s is adopted for order %s in line %s already', a.erp_number, b.order_id, b.line)
    from adopted a join adopted b on b.erp_number = a.erp_number and b.line < a.line
    union all
    select a.line, format('order %s costs %s in the shop, the ERP''s %s costs %s: if it is the same all the same, its decision is "adopt anyway"',
        a.order_id, round(g.total / 100.0, 2), a.erp_number, round(a.erp_total / 100.0, 2))
    from adopted a join golive g on g.order_id = a.order_id where a.n = 1 and a.erp_total <> g.total and not a.anyway
) w
order by w.line
limit 20

-- name: unsaid
-- What a person must have seen and the file has not, or has without a decision.
select g.order_id, g.why, count(*) over () from golive g
where g.asked and not exists (select from golive_said s where s.order_id = g.order_id and s.decision <> '')
order by g.order_id
limit 3

-- name: obey
update golive g
set decision = s.decision, asked = g.asked or s.decision is distinct from g.decision,
    erp_order = case when s.decision = 'adopt' then (select e.order_id from golive_erp e where e.number = s.erp_number) end
from golive_said s
where s.order_id = g.order_id and s.decision <> ''

-- name: counts
-- By decision, and how many of those to be taken are parked: not those that are being derived again, for what they waited for is there.
select count(*), count(*) filter (where g.decision = 'import'), count(*) filter (where g.decision = 'adopt'), count(*) filter (where g.decision = 'close'),
    count(*) filter (where g.decision is null), count(*) filter (where g.asked),
    count(*) filter (where g.decision = 'import' and p.order_id is not null and d.order_id is null),
    count(*) filter (where g.decision = 'import' and p.order_id is not null and d.order_id is not null),
    (select count(*) from golive_said s where not exists (select from golive x where x.order_id = s.order_id))
from golive g
left join spola.parked p on p.shop = $1 and p.order_id = g.order_id
left join spola.due d on d.shop = $1 and d.order_id = g.order_id

-- name: differing
-- To be adopted for an order with another total, as a person has said.
select format('%s costs %s in the shop, %s in the ERP (%s)', g.order_id, round(g.total / 100.0, 2), round(e.total / 100.0, 2), e.number), count(*) over ()
from golive g
join golive_erp e on e.order_id = g.erp_order
where g.decision = 'adopt' and e.total <> g.total
order by g.order_id
limit 10

-- name: adopt
-- From here on under the shop's lock. An order that was cancelled or deleted while this was planned is left to the applier.
select r.detail
from erp.adopt_orders(array(
    select row(l.reference, g.erp_order, l.shop, l.order_id::text)::erp.order_adopt_in
    from golive g
    join spola.link l on l.shop = $1 and l.order_id = g.order_id and l.incarnation = g.incarnation
    where g.decision = 'adopt' and l.erp_order is null and not l.deleted and coalesce(l.class, '') not in ('ignored', 'cancelled'))) r
where not r.ok
limit 3

-- name: match
-- Whoever placed an adopted order is the customer of that order: so are his next ones. Where two adopted orders say different
-- things of one, nothing is said.
insert into spola.customer_match (shop, reference, erp_customer, by)
select $1, x.reference, min(x.customer_id), 'adopted'
from (
    select $1 || coalesce(':account:' || o.account, ':guest:' || nullif((o.customer).email, '')) as reference, e.customer_id
    from golive_own o
    join golive g on g.order_id = o.order_id and g.decision = 'adopt'
    join erp.orders e on e.order_id = g.erp_order
) x
where x.reference is not null and x.customer_id is not null
group by x.reference
having count(distinct x.customer_id) = 1
on conflict do nothing

-- name: changed
-- What was edited in the shop while this was planned is adopted as it was looked at, and derived behind that: the ERP gets the edit, as it
-- would had it come a moment later.
insert into spola.due (shop, order_id, tick, settling)
select $1, l.order_id, m.ticks, false
from golive g
join spola.link l on l.shop = $1 and l.order_id = g.order_id and l.incarnation = g.incarnation
join spola.mirror m on m.source = l.shop
where g.decision = 'adopt' and l.content <> g.content
    and l.erp_order is null and not l.deleted and coalesce(l.class, '') not in ('ignored', 'cancelled')
on conflict do nothing

-- name: link
update spola.link l
set status = case g.decision when 'adopt' then 'imported' when 'close' then 'closed' else l.status end,
    erp_order = case when g.decision = 'adopt' then g.erp_order else l.erp_order end,
    adopted = g.decision = 'adopt',
    revision = case when g.decision = 'adopt' then g.revision else l.revision end,
    content = case when g.decision = 'adopt' then g.content else l.content end,
    decision = case when g.decision = 'import' and (g.before or g.asked) then 'import' when g.decision = 'close' and not g.before then 'close' end
from golive g
where l.shop = $1 and l.order_id = g.order_id and l.incarnation = g.incarnation
    and l.erp_order is null and not l.deleted and coalesce(l.class, '') not in ('ignored', 'cancelled')

-- name: unpark
-- What is adopted or closed waits for nothing.
delete from spola.parked p using golive g where p.shop = $1 and p.order_id = g.order_id and g.decision in ('adopt', 'close')

-- name: seen
-- Whoever goes live has seen what is parked: it counts no more towards stopping the stream. (A statement of its own: of a row
-- that one statement deletes and updates, either may be done.)
update spola.parked p set tick = p.tick - 60 where p.shop = $1

-- name: due
-- The others are derived by the applier, $2 with each tick, so that today's orders get in between.
insert into spola.due (shop, order_id, tick, settling)
select $1, l.order_id, m.ticks + 1 + (row_number() over (order by l.order_id) - 1) / $2::int, false
from spola.link l
join spola.mirror m on m.source = l.shop
where l.shop = $1 and not l.deleted and l.erp_order is null and l.status <> 'closed'
on conflict do nothing

-- name: known
-- Until now no order had one in the ERP: who looks for it would go through all of them.
analyze spola.link, spola.due

-- name: note
insert into spola.audit (who, shop, order_id, verb, decision, reason, detail)
select $2, $1, g.order_id, 'golive', g.decision, $3, jsonb_build_object('erp_order', g.erp_order, 'why', g.why)
from golive g
where g.asked
order by g.order_id

-- name: missing
-- What the shop sells and the ERP has no article for: how many, and the first.
select concat_ws(' ', s.product, nullif('(' || replace(s.variant, ',', '+') || ')', '()'), nullif(s.model, ''), nullif(s.options, '')), count(*) over ()
from {canonical}.assortment() s
where s.active and s.article is null
order by length(s.product), s.product, s.variant
limit 10

-- name: customers
-- Whose orders are to be imported: how many there are, how many of them are a customer whom the ERP has already, by what the shop
-- file names, and the first ten that fit several. They are looked for by the thousand, as batches do: fitting meets each with each.
with own as materialized (
    select coalesce('account ' || o.account, 'guest ' || nullif((o.customer).email, ''), 'order ' || o.order_id) as who, o.customer, o.order_id
    from golive_own o
    join golive g on g.order_id = o.order_id and g.decision = 'import'
), people as materialized (
    select o.who, o.customer, row_number() over (order by o.who) - 1 as n
    from (select distinct on (who) * from own order by who, order_id desc) o
), found as materialized (
    select c.chunk * 1000 + f.n - 1 as n, f.ids, f.rule
    from (select p.n / 1000 as chunk, array_agg(p.customer order by p.n) as customers from people p group by p.n / 1000) c
    cross join lateral {canonical}.fitting(c.customers, (select s.matching from spola.shop s where s.shop = $1)) f
)
select count(*), count(*) filter (where cardinality(f.ids) = 1), count(*) filter (where cardinality(f.ids) > 1),
    (array_agg(format('%s fits the ERP''s customers %s by %s', p.who || case when p.who like 'account %' then ' (' || (p.customer).email || ')' else '' end,
        array_to_string(f.ids, ', '), f.rule) order by p.n) filter (where cardinality(f.ids) > 1))[1:10]
from people p
left join found f on f.n = p.n

-- name: doubles
-- E-mail addresses that several accounts of the shop have ordered with.
select o.email || ': accounts ' || string_agg(o.account, ', ' order by length(o.account), o.account), count(*) over ()
from (select distinct (x.customer).email as email, x.account
    from golive_own x
    join golive g on g.order_id = x.order_id and g.decision = 'import'
    where x.account is not null and (x.customer).email <> '') o
group by o.email
having count(*) > 1
order by o.email
limit 10

-- name: unsold
-- What the ERP stocks and the shop does not sell. A mapping may be of more than the catalogue lists: of several values of one option.
with sold as materialized (
    select s.product, s.article from {canonical}.assortment() s
), known as (
    select s.article from sold s
    union
    select a.article from spola.article a where a.shop = $1 and exists (select from sold s where s.product = a.product)
)
select e.sku, count(*) over ()
from erp.articles e
where e.stocked and not exists (select from known k where k.article = e.article_id)
order by e.sku
limit 10

-- name: stock
-- What each row of the shop's stock shows, and what it is to show once the shop is live: what the ERP can promise, less what the shop has subtracted for
-- orders that the ERP does not count. It counts those to be imported as soon as they are there, which moves nothing; those adopted as far as it has committed
-- or shipped their pieces; those closed once and for all. What nobody has decided counts as to be imported. Rows without an account stay as they are.
with held as materialized (
    select x.stock_row, x.quantity, x.article, x.sku, x.buffer, x.why_not from {canonical}.stock_article x
), waiting as materialized (
    select l.order_id, l.incarnation, coalesce(l.erp_order, case g.decision when 'adopt' then g.erp_order end) as erp_order
    from spola.link l
    left join golive g on g.order_id = l.order_id and g.incarnation = l.incarnation
    where l.shop = $1 and not l.deleted and l.status <> 'closed' and g.decision is distinct from 'close'
), subtracted as (
    select w.order_id, w.incarnation, w.erp_order, c.stock_row, c.article, c.pieces,
        c.article is null and not bool_or(c.article is not null) over (partition by c.order_id, c.incarnation, c.line) as unknown
    from waiting w
    join spola.consumption c on c.shop = $1 and c.order_id = w.order_id and c.incarnation = w.incarnation and c.stock_row <> ''
), used as (
    select s.order_id, s.erp_order, h.stock_row, h.article,
        coalesce(sum(s.pieces) filter (where s.article = h.article), 0) as own, coalesce(sum(s.pieces) filter (where s.unknown), 0) as unknown
    from subtracted s
    join held h on h.stock_row = s.stock_row and h.why_not is null
    group by s.order_id, s.incarnation, s.erp_order, h.stock_row, h.article
), counted as (
    select l.order_id, l.article_id, sum(l.committed + l.shipped) as pieces
    from erp.order_lines l
    where l.order_id in (select w.erp_order from waiting w where w.erp_order is not null)
    group by l.order_id, l.article_id
), flying as (
    select u.stock_row, sum(u.unknown + case when o.state = 'closed_short' then 0 else u.own - least(u.own, coalesce(c.pieces, 0)) end) as pieces
    from used u
    left join erp.orders o on o.order_id = u.erp_order
    left join counted c on c.order_id = u.erp_order and c.article_id = u.article
    group by u.stock_row
), named as (
    select a.article_id, sum(a.available) as available
    from erp.availability_by_warehouse a
    where a.warehouse in (select w.warehouse from spola.stock_warehouse w where w.shop = $1)
    group by a.article_id
), promised as (
    select a.article_id, case when exists (select from spola.stock_warehouse w where w.shop = $1) then coalesce(n.available, 0) else a.available end as available
    from erp.availability a
    left join named n on n.article_id = a.article_id
)
select x.stock_row, x.sku, x.now, x.after, x.why_not
from (
    select h.stock_row, coalesce(h.sku, '') as sku, h.quantity as now, coalesce(h.why_not, '') as why_not,
        (case when h.why_not is null then p.available - h.buffer - coalesce(f.pieces, 0) else h.quantity end)::bigint as after
    from held h
    left join promised p on p.article_id = h.article
    left join flying f on f.stock_row = h.stock_row
) x
order by abs(x.after - x.now) desc, length(x.stock_row), x.stock_row
