-- A discount on an order of the traditional trade. What a web order costs, its shop says.

-- +goose Up

-- discount_order takes cents off an open order, VAT included: pro rata over its rates, the last cents by largest remainder.
-- +goose StatementBegin
create function erp.discount_order(discounted_order bigint, cents bigint, title text default '') returns void
language plpgsql
set search_path = '' set jit = off set enable_seqscan = off set enable_nestloop = off set enable_mergejoin = off
set plan_cache_mode = force_generic_plan set work_mem = '64MB'
as $$
declare
    o     erp.sales_order := erp.order_to_change(discounted_order, '{open}', 'it is too late for a discount');
    rates erp.order_vat[] := array(select v from erp.order_vat v where v.order_id = discounted_order order by v.vat_rate desc, v.vat_country, v.vat_nature);
    parts bigint[];
    wrong text;
begin
    if o.channel <> 'traditional' then
        wrong := format('order %s%s/%s is the shop''s: change what it costs there', o.series, o.year, o.number);
    elsif cents is null or cents not between 1 and o.total then
        wrong := format('%s cents off order %s%s/%s, which costs %s', coalesce(cents::text, 'null'), o.series, o.year, o.number, o.total);
    end if;
    if wrong is not null then
        raise exception '%', wrong using errcode = 'check_violation';
    end if;
    parts := erp.spread(cents, array(select r.gross from unnest(rates) r));
    insert into erp.order_charge (order_id, line, kind, code, title, gross, vat_rate, vat_country, vat_nature)
    select discounted_order, coalesce((select max(c.line) from erp.order_charge c where c.order_id = discounted_order), 0) + row_number() over (order by p.n),
        'discount', 'discount', coalesce(discount_order.title, ''), -p.cents, p.vat_rate, p.vat_country, p.vat_nature
    from rows from (unnest(rates), unnest(parts)) with ordinality as p(order_id, vat_rate, vat_country, vat_nature, gross, net, vat, cents, n)
    where p.cents > 0;
    update erp.order_vat v
    set gross = v.gross - p.cents, net = erp.net(v.gross - p.cents, v.vat_rate), vat = v.gross - p.cents - erp.net(v.gross - p.cents, v.vat_rate)
    from rows from (unnest(rates), unnest(parts)) as p(order_id, vat_rate, vat_country, vat_nature, gross, net, vat, cents)
    where v.order_id = discounted_order and v.vat_rate = p.vat_rate and v.vat_country = p.vat_country and v.vat_nature = p.vat_nature;
    update erp.sales_order x set total = x.total - discount_order.cents, customer_total = (x.total - discount_order.cents) / 100.0 where x.id = discounted_order;
end $$;
-- +goose StatementEnd

-- +goose Down
drop function erp.discount_order(bigint, bigint, text);
