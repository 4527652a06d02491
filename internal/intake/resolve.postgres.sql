-- What a person decides of a parked order. Installed behind derive.postgres.sql, whose functions it uses. The
-- caller has locked the shop's row, has seen that the order is parked, and writes the audit row.

-- Where an order stands, for who decides.
--   erp_order   of its link; null: the ERP does not have it
--   moving      it is being changed in the shop right now
create function {{.Schema}}.standing(id bigint, out task {{.Schema}}.task, out moving boolean)
language plpgsql stable as $$
begin
    task := ({{.Schema}}.tasks(array[id], array[id]))[1];
    moving := exists (select from spola.due d where d.shop = '{{.Shop}}' and d.order_id = id and d.settling);
end $$;

-- The ERP shall never have it: its link is closed. An order under a used number gets a link of its own, set
-- aside below all incarnations.
create function {{.Schema}}.resolve_drop(id bigint) returns void
language plpgsql as $$
declare
    t {{.Schema}}.task := (select s.task from {{.Schema}}.standing(id) s);
begin
    if t.action = 'reused' then
        insert into spola.link (shop, order_id, incarnation, reference, fingerprint, status, state, method, class, revision, content, consuming, decision)
        select '{{.Shop}}', id, least(0, min(l.incarnation) - 1), 'none', t.fingerprint, 'closed', t.state, t.method, t.class, t.revision, '', false, 'close'
        from spola.link l where l.shop = '{{.Shop}}' and l.order_id = id;
        insert into spola.due (shop, order_id, tick, settling) values ('{{.Shop}}', id, 0, false) on conflict do nothing; -- it consumes
    else
        update spola.link l set status = 'closed', decision = 'close'
        where l.shop = '{{.Shop}}' and l.order_id = id and l.incarnation = t.incarnation;
        perform spola.settle('{{.Shop}}', '{}', array[id], false); -- what it has from the shop's stock is in flight no more
    end if;
    delete from spola.parked p where p.shop = '{{.Shop}}' and p.order_id = id;
end $$;

-- The ERP's version stays: what the shop has now is known, and counts as a change no more.
create function {{.Schema}}.resolve_keep(id bigint) returns void
language plpgsql as $$
declare
    t {{.Schema}}.task := (select s.task from {{.Schema}}.standing(id) s);
begin
    update spola.link l
    set state = t.state, method = t.method, class = t.class, revision = t.revision, decision = 'keep_erp',
        content = coalesce((select (d.drafts[1]).content from {{.Schema}}.drafts(array[t], false) d), l.content)
    where l.shop = '{{.Shop}}' and l.order_id = id and l.incarnation = t.incarnation;
    delete from spola.parked p where p.shop = '{{.Shop}}' and p.order_id = id;
end $$;

-- The shop's version: what the ERP has becomes what the shop has, for the same customer. The result is the
-- ERP's, or the problem that a draft of it has.
create function {{.Schema}}.resolve_take(id bigint) returns erp.result
language plpgsql as $$
declare
    t      {{.Schema}}.task := (select s.task from {{.Schema}}.standing(id) s);
    given  record;
    d      {{.Schema}}.draft;
    o      erp.order_in;
    result erp.result;
begin
    t.action := 'revive'; -- whole, as if it were new
    given := {{.Schema}}.drafts(array[t], false);
    d := given.drafts[1];
    if (d.problem).reason is not null then
        return row(t.reference, t.erp_order, false, true, (d.problem).reason, (d.problem).what)::erp.result;
    end if;
    o := given.orders[1];
    o.customer := (select x.customer_id from erp.orders x where x.order_id = t.erp_order);
    select r.* into result from erp.force_edits(array[o], given.lines, given.charges, given.vat, given.payments) r;
    if result.ok then
        update spola.link l
        set status = 'imported', state = t.state, method = t.method, class = t.class, revision = t.revision, content = d.content, decision = null, adopted = false
        where l.shop = '{{.Shop}}' and l.order_id = id and l.incarnation = t.incarnation;
        delete from spola.parked p where p.shop = '{{.Shop}}' and p.order_id = id;
    end if;
    return result;
end $$;

-- Into the ERP, although the rules would not take it: with the applier's next batch.
create function {{.Schema}}.resolve_import(id bigint) returns void
language sql as $$
    update spola.link l set decision = 'import'
    from {{.Schema}}.standing(id) s
    where l.shop = '{{.Shop}}' and l.order_id = id and l.incarnation = (s.task).incarnation;
    insert into spola.due (shop, order_id, tick, settling) values ('{{.Shop}}', id, 0, false) on conflict do nothing
$$;
