-- What the ERP has issued: how many of each kind, numbers that are missing, and rates whose net and VAT are not
-- those of their gross, by whole numbers of its own.
select
    (select jsonb_object_agg(kind, n) from (select kind, count(*) as n from erp.document group by kind
        union all select 'order', count(*) from erp.sales_order) k),
    (select coalesce(sum(missing), 0)::bigint from (select max(number) - count(*) as missing from erp.document group by series, year) h),
    (select count(*) from erp.document_vat v cross join lateral (select ((100 + v.vat_rate) * 1000)::bigint as whole) r
        where v.net + v.vat <> v.gross or (2 * abs(v.net) - 1) * r.whole > 2 * abs(v.gross) * 100000 or (2 * abs(v.net) + 1) * r.whole <= 2 * abs(v.gross) * 100000)
