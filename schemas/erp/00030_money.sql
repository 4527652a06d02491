-- VAT: the one place for its arithmetic in the ERP. Gross is the truth: of each rate of a document net and VAT are
-- worked out once, from the rate's whole gross, and always add up to it. internal/money has the same rules in Go.
--
-- Cents and pieces are whole and rates have three decimals, so all of it is done in whole numbers: nothing is
-- rounded but once, and nothing depends on how many digits a division keeps.

-- +goose Up

-- net is the net of a gross in cents at a rate in percent: gross / (1 + rate), half up (of negative ones half down, so
-- that what is taken back is what was given). VAT is gross - net.
create function erp.net(gross bigint, rate numeric) returns bigint
language sql immutable strict parallel safe
return sign(gross)::bigint * ((2 * abs(gross) * 100000 + ((100 + rate) * 1000)::bigint) / (2 * ((100 + rate) * 1000)::bigint));

-- net_exact is the net in the currency (not in cents) with as many decimals as an e-invoice may have.
create function erp.net_exact(gross_cents numeric, rate numeric, decimals integer default 8) returns numeric
language sql immutable strict parallel safe
return round(gross_cents * 1.000000000000 / (100 + rate), decimals);

-- share is amount * part / whole, half up; of a whole of 0 it is all. Shares of parts that grow to the whole grow to the
-- amount: what a part gets is the share up to its end less the share up to its start, and nothing is lost or doubled.
create function erp.share(amount bigint, part bigint, whole bigint) returns bigint
language sql immutable strict parallel safe
return case when whole = 0 then amount
    else sign(amount)::bigint * div(2 * abs(amount)::numeric * part + whole, 2 * whole::numeric)::bigint end;

-- spread divides an amount by weights: each its share cut down to cents, the cents that are left to those that lost most
-- (of equal ones the first). Where all weights are 0 the first has all.
-- +goose StatementBegin
create function erp.spread(amount bigint, weights bigint[]) returns bigint[]
language sql immutable strict parallel safe
as $$
    with w as (
        select i, case when sum(weight) over () = 0 then (i = 1)::int else weight end::numeric as weight
        from unnest(weights) with ordinality as w(weight, i)
    ), cut as (
        select i, div(abs(amount) * weight, sum(weight) over ()) as cents, mod(abs(amount) * weight, sum(weight) over ()) as lost from w
    ), ranked as (
        select i, cents, abs(amount) - sum(cents) over () as left_over, row_number() over (order by lost desc, i) as rank from cut
    )
    select coalesce(array_agg(sign(amount)::bigint * (cents + (rank <= left_over)::int)::bigint order by i), '{}') from ranked
$$;
-- +goose StatementEnd

-- +goose Down
drop function erp.spread(bigint, bigint[]), erp.share(bigint, bigint, bigint), erp.net_exact(numeric, numeric, integer), erp.net(bigint, numeric);
