-- A customer is erased: what the ERP keeps of a person without need. Documents stay as they were issued, for ten years (art. 2220
-- of the civil code): they carry buyer and address of their own.

-- +goose Up

-- bare is what of an address names no person: statistics of VAT need country and province.
create function erp.bare(a erp.address) returns erp.address language sql immutable
return row('', '', '', '', '', '', '', coalesce((a).province, ''), coalesce((a).country, ''))::erp.address;

-- erase_flaw says why an order can't be erased yet: a sentence, or null.
create function erp.erase_flaw(erased_order bigint) returns text language sql stable
return (
    select case
        when o.state in ('open', 'part_shipped') then 'it is not through: ship it, cancel it or close it short first'
        when exists (select from erp.documents_due d where d.order_id = o.id) then 'an invoice is due for it: issue it first (erp.invoice_due)'
    end
    from erp.sales_order o where o.id = erased_order);

-- erase_orders takes person and texts off orders that are through. Numbers, lines, amounts and VAT stay, for the books. It returns how
-- many had something to take off, and raises an error for one that can't be erased yet.
-- +goose StatementBegin
create function erp.erase_orders(erased_orders bigint[]) returns bigint
language plpgsql security definer
set search_path = ''
as $$
declare
    made  bigint;
    wrong record;
begin
    perform from erp.sales_order o where o.id = any(erased_orders) order by o.id for update;
    select o.series || o.year || '/' || o.number as number, erp.erase_flaw(o.id) as flaw into wrong
    from erp.sales_order o where o.id = any(erased_orders) and erp.erase_flaw(o.id) is not null order by o.id limit 1;
    if found then
        raise exception 'order %: %', wrong.number, wrong.flaw using errcode = 'check_violation';
    end if;
    update erp.order_payment p set transaction = '' where p.order_id = any(erased_orders) and p.transaction <> '';
    update erp.sales_order o set email = '', phone = '', note = '', tax_code = '', vat_number = '', pec = '', sdi = '',
        billing = erp.bare(o.billing), shipping = erp.bare(o.shipping)
    where o.id = any(erased_orders)
        and (o.email, o.phone, o.note, o.tax_code, o.vat_number, o.pec, o.sdi, o.billing, o.shipping)
            is distinct from ('', '', '', '', '', '', '', erp.bare(o.billing), erp.bare(o.shipping));
    get diagnostics made = row_count;
    return made;
end $$;
-- +goose StatementEnd

-- erase_customers takes all off customers but their number. One whose reference is a guest's e-mail gets another: if the person comes
-- back, that is a new customer. It returns how many had something to take off.
-- +goose StatementBegin
create function erp.erase_customers(erased_customers bigint[]) returns bigint
language plpgsql security definer
set search_path = ''
as $$
declare
    made bigint;
begin
    update erp.customer c set first_name = '', last_name = '', company = '', email = '', phone = '', tax_code = '', vat_number = '', pec = '', sdi = '', address = null,
        reference = n.reference,
        imported = row(n.reference, c.kind, null, null, null, null, null, c.language, null, null, null, null, null)::erp.customer_in
    from (
        select x.id, case when x.reference ~ ':guest:' then regexp_replace(x.reference, ':guest:.*$', ':erased:' || x.id) else x.reference end as reference
        from erp.customer x where x.id = any(erased_customers) order by x.id for update
    ) n
    where c.id = n.id
        and ((c.first_name, c.last_name, c.company, c.email, c.phone, c.tax_code, c.vat_number, c.pec, c.sdi) is distinct from ('', '', '', '', '', '', '', '', '')
            or c.address is not null or c.reference <> n.reference);
    get diagnostics made = row_count;
    return made;
end $$;
-- +goose StatementEnd

-- As all that runs with its owner's rights.
revoke execute on function erp.erase_orders(bigint[]), erp.erase_customers(bigint[]) from public;

-- +goose Down
drop function erp.erase_customers(bigint[]), erp.erase_orders(bigint[]), erp.erase_flaw(bigint), erp.bare(erp.address);
