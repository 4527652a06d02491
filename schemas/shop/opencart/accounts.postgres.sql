-- What an OpenCart 4 shop knows of its customers' accounts, as the ERP takes a customer: without a reference, and null
-- for what the account leaves open. The address is the default one of the account, else its newest.
create function {{.Schema}}.accounts(ids bigint[])
returns table (account bigint, customer erp.customer_in)
language sql stable as $$
    select c.customer_id,
        row(null, k.kind, nullif(spola.html(trim(c.firstname)), ''), nullif(spola.html(trim(c.lastname)), ''), nullif(spola.html(trim(a.company)), ''),
            nullif(spola.email(c.email), ''), nullif(trim(c.telephone), ''),
            (select g.code from {{table "language"}} g where g.language_id = c.language_id),
            f.tax_code, f.vat_number, f.pec, f.sdi,
            case when coalesce(a.country_id, 0) <> 0 then
                row(spola.html(a.firstname), spola.html(a.lastname), spola.html(a.company), spola.html(a.address_1), spola.html(a.address_2), a.postcode, spola.html(a.city),
                    (select z.code from spola.province z where z.shop = '{{.Shop}}' and z.id = a.zone_id),
                    (select z.code from spola.country z where z.shop = '{{.Shop}}' and z.id = a.country_id))::erp.address
            end)::erp.customer_in
    from unnest(ids) as i(id)
    join {{table "customer"}} c on c.customer_id = i.id
    left join lateral (
        select * from {{table "address"}} x where x.customer_id = i.id order by coalesce(x."default", 0) desc, x.address_id desc limit 1
    ) a on true
    cross join lateral (
        select nullif(spola.code(max(x.value) filter (where d.meaning = 'tax_code')), '') as tax_code,
            nullif(spola.vat_number(max(x.value) filter (where d.meaning = 'vat_number')), '') as vat_number,
            nullif(spola.email(max(x.value) filter (where d.meaning = 'pec')), '') as pec,
            nullif(spola.code(max(x.value) filter (where d.meaning = 'sdi')), '') as sdi
        from (values (c.custom_field), (a.custom_field)) as t(t)
        cross join lateral jsonb_each_text(case when t.t like '{%' then spola.json_object(t.t) end) as x(field, value)
        join spola.custom_field d on d.shop = '{{.Shop}}' and d.field = x.field
        where x.value <> ''
        offset 0
    ) f
    cross join lateral (
        -- An account without an address does not say whether it is a company's.
        select coalesce(
            (select q.kind from spola.customer_kind q where q.shop = '{{.Shop}}' and q.customer_group = c.customer_group_id::text),
            case when length(f.sdi) = 6 then 'public' when f.vat_number is not null or a.company <> '' then 'company' when a.address_id is not null then 'private' end) as kind
        offset 0
    ) k
$$;
