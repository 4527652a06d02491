-- What people look for among documents, and what the accountant gets.

-- +goose Up

-- All that was issued.
create view erp.documents as
select d.id as document_id, erp.document_number(d) as number, d.kind, d.date, d.issued_at, d.channel, d.order_id, d.order_number, d.shop, d.shop_number,
    d.shipment_id, d.customer_id, (d.buyer).name as buyer, d.language, d.currency, d.total, d.cash_on_delivery, d.tracking, d.carrier,
    (select erp.document_number(c) from erp.document c where c.id = d.corrects) as corrects, d.reason, d.why
from erp.document d;

-- Deliveries whose invoice is due, and what keeps it from being issued; null: nothing (erp.invoice_due issues it).
create view erp.documents_due as
select d.id as document_id, erp.document_number(d) as number, d.date, d.order_id, d.order_number, (d.buyer).name as buyer, d.total,
    erp.invoice_flaw(o, array[d.id]) as flaw
from erp.document d
join erp.sales_order o on o.id = d.order_id
where d.kind in ('ddt', 'sale') and case  -- the close look is for the few that may be
    when exists (select from erp.invoiced i where i.base_id = d.id) then false
    when d.to_invoice or o.invoice_wanted or o.kind <> 'private'
        or exists (select from erp.document_line l join erp.document i on i.id = l.document_id where l.base_id = d.id and i.series = 'F')
        then d.id = any(erp.deliveries_to_invoice(array[d.order_id], true))
    else false end;

-- The register of daily takings: what was delivered without an invoice, by day, country and rate, less what of it came back. A
-- delivery that is to be invoiced, or ever was, is not in it. VAT is worked out on the day's sum of each rate.
create view erp.takings as
select t.date, t.channel, t.vat_country, t.vat_rate, t.vat_nature, t.currency, sum(t.sales)::bigint as sales, sum(t.returns)::bigint as returns,
    sum(t.sales - t.returns)::bigint as gross, erp.net(sum(t.sales - t.returns)::bigint, t.vat_rate) as net,
    sum(t.sales - t.returns)::bigint - erp.net(sum(t.sales - t.returns)::bigint, t.vat_rate) as vat, count(*) as documents
from (
    select d.date, d.channel, d.currency, v.vat_country, v.vat_rate, v.vat_nature, case when d.kind = 'return' then 0 else v.gross end as sales,
        case when d.kind = 'return' then v.gross else 0 end as returns
    from erp.document d
    join erp.document b on b.id = coalesce(d.corrects, d.id)
    join erp.document_vat v on v.document_id = d.id
    where d.kind in ('ddt', 'sale', 'return') and not b.to_invoice
        and not exists (select from erp.document_line l join erp.document i on i.id = l.document_id where l.base_id = b.id and i.series = 'F')
) t
group by t.date, t.channel, t.vat_country, t.vat_rate, t.vat_nature, t.currency;

-- document_sheet is all that stands on a document, for who prints it or makes an e-invoice of it.
-- +goose StatementBegin
create function erp.document_sheet(of_document bigint) returns jsonb
language sql stable
as $$
    select jsonb_build_object(
        'number', erp.document_number(d), 'kind', d.kind, 'date', d.date, 'language', d.language, 'currency', d.currency, 'seller', d.seller, 'buyer', to_jsonb(d.buyer),
        'ship_to', to_jsonb(d.ship_to), 'note', d.note, 'phone', d.phone, 'order_number', d.order_number, 'shop', d.shop, 'shop_number', d.shop_number,
        'placed', (d.placed_at at time zone 'Europe/Rome')::date, 'warehouse', d.warehouse, 'carrier', d.carrier, 'tracking', d.tracking, 'packages', d.packages,
        'weight_kg', d.weight_kg::text, 'total', d.total, 'cash_on_delivery', d.cash_on_delivery, 'reason', d.reason, 'why', d.why,
        'lines', coalesce((select jsonb_agg(jsonb_build_object('line', l.line, 'kind', l.kind, 'code', l.code, 'name', l.name, 'options', l.options, 'quantity', l.quantity,
            'gross', l.gross, 'vat_rate', l.vat_rate::text, 'vat_country', l.vat_country, 'vat_nature', l.vat_nature, 'delivery',
            (select erp.document_number(b) from erp.document b where b.id = l.base_id)) order by l.line) from erp.document_line l where l.document_id = d.id), '[]'),
        'vat', coalesce((select jsonb_agg(jsonb_build_object('vat_rate', v.vat_rate::text, 'vat_country', v.vat_country, 'vat_nature', v.vat_nature, 'gross', v.gross,
            'net', v.net, 'vat', v.vat) order by v.vat_rate desc, v.vat_country, v.vat_nature) from erp.document_vat v where v.document_id = d.id), '[]'),
        'payments', coalesce((select jsonb_agg(jsonb_build_object('kind', p.kind, 'code', p.code, 'title', p.title, 'amount', p.amount) order by p.line)
            from erp.document_payment p where p.document_id = d.id), '[]'),
        'deliveries', coalesce((select jsonb_agg(jsonb_build_object('number', erp.document_number(b), 'date', b.date, 'kind', b.kind, 'order_number', b.order_number,
            'shop_number', b.shop_number) order by b.id) from erp.document b
            where d.kind <> 'return' and b.id in (select l.base_id from erp.document_line l where l.document_id = d.id)), '[]'),
        'corrects', (select jsonb_build_object('number', erp.document_number(c), 'date', c.date, 'kind', c.kind) from erp.document c where c.id = d.corrects))
    from erp.document d where d.id = of_document
$$;
-- +goose StatementEnd

-- order_sheet is the same of an order as it stands now: the order acquired. It has the order's own number, and is
-- frozen by nothing.
-- +goose StatementBegin
create function erp.order_sheet(of_order bigint) returns jsonb
language sql stable
as $$
    select jsonb_build_object(
        'number', h.order_number, 'kind', 'order', 'date', (o.placed_at at time zone 'Europe/Rome')::date, 'language', h.language, 'currency', o.currency,
        'seller', coalesce((select to_jsonb(s) - '{only_one,logo,invoice_at_shipment,cash_on_delivery,since}'::text[] from erp.seller s), '{"name": ""}'),
        'buyer', to_jsonb(h.buyer), 'ship_to', to_jsonb(o.shipping), 'note', o.note, 'phone', o.phone, 'order_number', h.order_number, 'shop', o.shop,
        'shop_number', o.shop_number, 'placed', (o.placed_at at time zone 'Europe/Rome')::date, 'carrier', o.shipping_method, 'total', o.total, 'reason', 'sale',
        'state', o.state,
        'lines', coalesce((select jsonb_agg(jsonb_build_object('line', x.line, 'kind', x.kind, 'code', x.code, 'name', x.name, 'options', x.options, 'quantity', x.quantity,
            'gross', x.gross, 'vat_rate', x.vat_rate::text, 'vat_country', x.vat_country, 'vat_nature', x.vat_nature) order by x.line)
            from (
                select row_number() over (order by y.part, y.place) as line, y.*
                from (
                    select 0 as part, l.position as place, 'goods' as kind, a.sku as code, l.name, l.options, l.quantity, l.gross, l.vat_rate, l.vat_country, l.vat_nature
                    from erp.order_line l join erp.article a on a.id = l.article_id where l.order_id = o.id
                    union all
                    select case c.kind when 'charge' then 1 else 2 end, c.line, c.kind, c.code, c.title, '', 1, c.gross, c.vat_rate, c.vat_country, c.vat_nature
                    from erp.order_charge c where c.order_id = o.id
                ) y
            ) x), '[]'),
        'vat', coalesce((select jsonb_agg(jsonb_build_object('vat_rate', v.vat_rate::text, 'vat_country', v.vat_country, 'vat_nature', v.vat_nature, 'gross', v.gross,
            'net', v.net, 'vat', v.vat) order by v.vat_rate desc, v.vat_country, v.vat_nature) from erp.order_vat v where v.order_id = o.id), '[]'),
        'payments', coalesce((select jsonb_agg(jsonb_build_object('kind', p.kind, 'code', p.code, 'title', p.title, 'amount', p.amount) order by p.line)
            from erp.order_payment p where p.order_id = o.id), '[]'),
        'deliveries', '[]'::jsonb)
    from erp.sales_order o cross join lateral erp.head(o) h where o.id = of_order
$$;
-- +goose StatementEnd

-- +goose Down
drop function erp.order_sheet(bigint), erp.document_sheet(bigint);
drop view erp.takings, erp.documents_due, erp.documents;
