-- The web orders behind one that was seen: those that are there, or else the first to come within the wait.
-- Each look has a snapshot of its own, as in any volatile function of a READ COMMITTED transaction.
create function pg_temp.arrivals(seen bigint, wait interval, every interval)
returns table (id bigint, shop text, shop_number text, number text, total bigint, name text)
language plpgsql volatile
set enable_seqscan = off -- never through all orders, whatever the statistics say of a table that has just grown
as $$
declare
    until timestamptz := clock_timestamp() + wait;
    pause double precision := extract(epoch from every);
begin
    loop
        perform from erp.sales_order o where o.id > seen and o.channel = 'web' limit 1;
        exit when found or clock_timestamp() >= until;
        perform pg_sleep(pause);
    end loop;
    return query
    select o.id, o.shop, o.shop_number, o.series || o.year || '/' || o.number, o.total,
           (o.shipping).first_name || ' ' || (o.shipping).last_name || ', ' || (o.shipping).city
    from erp.sales_order o
    where o.id > seen and o.channel = 'web'
    order by o.id;
end
$$;
