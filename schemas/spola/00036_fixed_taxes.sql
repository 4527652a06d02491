-- Taxes that are a fixed amount a piece ("Eco Tax"), which a shop lists among its VAT. They are no VAT, but part of
-- what the goods cost, with VAT in them.

-- +goose Up

-- What the shop file says of them.
create table spola.fixed_tax (
    shop  text    not null,
    title text    not null,  -- of the tax rate in the shop, and of the row in the totals of its orders
    rate  numeric not null,  -- VAT in percent that the amount contains
    primary key (shop, title)
);

alter table spola.tax_title add amount numeric;  -- a piece, of a fixed amount; null: a percentage

-- How the tax of a line is made up.
create type spola.tax_fit as (
    at    int,      -- which of the order's rates; 0: none
    fixed numeric,  -- fixed amounts in it
    clear boolean   -- no other rate would do
);

-- Tells by which of the order's rates, and with which of its fixed amounts, a piece at this price bears this
-- tax: what fits best; of two that fit alike the earlier rate, then with fewer amounts.
-- +goose StatementBegin
create function spola.fit_tax(price numeric, tax numeric, rates numeric[], amounts numeric[]) returns spola.tax_fit
language plpgsql immutable as $$
declare
    f     spola.tax_fit := row(0, 0, true);
    n     int := least(cardinality(amounts), 8);
    best  numeric;
    miss  numeric;
    fixed numeric;
    fits  numeric[] := '{}';  -- rates that would do
    rate  numeric;
begin
    for at in 0 .. cardinality(rates) loop
        rate := case when at = 0 then 0 else rates[at] end;
        for choice in 0 .. (1 << n) - 1 loop
            fixed := 0;
            for k in 1 .. n loop
                if choice & (1 << (k - 1)) > 0 then
                    fixed := fixed + amounts[k];
                end if;
            end loop;
            miss := abs(price * rate / 100 + fixed - tax);
            if miss <= 0.0002 and not rate = any (fits) then
                fits := array_append(fits, rate);
            end if;
            if best is null or miss < best then
                best := miss;
                f.at := at;
                f.fixed := fixed;
            end if;
        end loop;
    end loop;
    f.clear := cardinality(fits) <= 1 or price = 0;
    return f;
end $$;
-- +goose StatementEnd

-- What of a fixed amount is not the VAT in it. Rounded up where it has no end, so that VAT and all it is the amount.
-- +goose StatementBegin
create function spola.without_vat(amount numeric, rate numeric) returns numeric language sql immutable
return sign(amount) * ceil(abs(amount) * 1e22 / (100 + rate)) * 1e-20;
-- +goose StatementEnd

insert into spola.reason (code, why, mend) values
('fixed_tax', 'A tax of the order is a fixed amount a piece. It is no VAT, and the shop file does not say which VAT is in it.',
    'Name it under "fixed_taxes" in the shop file, with the rate of its VAT, and start the applier again; its orders follow by themselves.');
update spola.reason set
    why = 'The VAT of a line fits none of the rates of the order, or two of them once a fixed amount a piece is among its taxes.',
    mend = 'Correct the line in the shop (its VAT is worked out again when the order is saved there), or enter the order in the ERP by hand.'
where code = 'tax_unclear';

-- +goose Down
delete from spola.reason where code = 'fixed_tax';
drop function spola.without_vat, spola.fit_tax;
drop type spola.tax_fit;
alter table spola.tax_title drop amount;
drop table spola.fixed_tax;
