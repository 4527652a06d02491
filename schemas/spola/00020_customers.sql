-- Customers: how they are matched, and what is wrong with what they typed.

-- +goose Up

-- From the shop file. matching: by what a customer of the ERP is looked for before a new one is made, the surest
-- first; empty: each account and each guest's e-mail is a customer. malformed: what becomes of an order with a tax
-- code, VAT number, SDI code or PEC that can't be right.
alter table spola.shop
    add matching  text[] not null default '{}',
    add malformed text   not null default 'take' check (malformed in ('take', 'park'));

-- An account or guest that was found to be a customer whom the ERP had already, from elsewhere: for good.
create table spola.customer_match (
    shop         text   not null,
    reference    text   not null,  -- of the account or guest
    erp_customer bigint not null,
    by           text   not null,  -- vat_number, tax_code, email
    at           timestamptz not null default now(),
    primary key (shop, reference)
);

-- What a clerk has to look at: the order was taken all the same.
create table spola.flag (
    shop    text   not null,
    subject text   not null,  -- "order 4711", "account 7"
    field   text   not null,  -- tax_code, vat_number, sdi, pec, invoice; account: the ERP refused a change of it
    value   text   not null,
    what    text   not null,
    at      timestamptz not null default now(),
    primary key (shop, subject, field)
);

-- +goose StatementBegin
insert into spola.reason (code, why, mend) values
('customer_ambiguous', 'Several customers of the ERP fit the one who ordered, by what "customers: match" in the shop file names.',
    'Merge them in the ERP, or correct what is wrong with one of them; the order follows by itself.'),
('malformed_tax_data', 'A tax code, VAT number, SDI code or PEC can''t be right, and the shop file parks such orders ("customers: malformed").',
    'Ask the customer and correct it in the shop; the order follows by itself. Or write "malformed: take" in the shop file.');
-- +goose StatementEnd

-- ---- what a customer typed, in one form

-- +goose StatementBegin
create function spola.email(t text) returns text language sql immutable parallel safe
return lower(regexp_replace(t, '[\s\u00a0]', '', 'g'));
-- +goose StatementEnd

-- Capital letters and digits only: a tax code, a VAT number or an SDI code as it should have been typed.
-- +goose StatementBegin
create function spola.code(t text) returns text language sql immutable parallel safe
return regexp_replace(upper(t), '[\s\u00a0./_-]', '', 'g');
-- +goose StatementEnd

-- An Italian number goes without its IT, every other with its country.
-- +goose StatementBegin
create function spola.vat_number(t text) returns text language sql immutable parallel safe
return regexp_replace(spola.code(t), '^IT(?=\d{11}$)', '');
-- +goose StatementEnd

-- ---- what can't be right about it: a sentence, or null

-- The last digit of an Italian VAT number checks the others: every second digit counts twice, less 9 above 9.
-- plpgsql, here and below: a query within a function of SQL is parsed and planned anew at each call, which takes a millisecond.
-- +goose StatementBegin
create function spola.digits_flaw(t text) returns text language plpgsql immutable parallel safe as $$
begin
    return case when t = '00000000000' then 'it is all zeros' when (
            select sum(case when i % 2 = 1 then d when d > 4 then 2 * d - 9 else 2 * d end) % 10
            from (select i, substr(t, i, 1)::int as d from generate_series(1, 11) as i) x) <> 0
        then 'its last digit does not fit the others' end;
end $$;
-- +goose StatementEnd

-- +goose StatementBegin
create function spola.vat_number_flaw(t text) returns text language sql immutable parallel safe
return case
    when t ~ '^\d{11}$' then spola.digits_flaw(t)
    when t ~ '^IT' then 'an Italian VAT number has 11 digits'
    when t !~ '^[A-Z]{2}[A-Z0-9+*]{2,13}$' then 'a VAT number has 11 digits in Italy, elsewhere two letters of the country in front'
end;
-- +goose StatementEnd

-- A person's tax code has 16 characters, a company's is like its VAT number. Where two people would have the same,
-- letters LMNPQRSTUV stand for digits.
-- +goose StatementBegin
create function spola.tax_code_flaw(t text) returns text language plpgsql immutable parallel safe as $$
begin
    return case
        when t ~ '^\d{11}$' then spola.digits_flaw(t)
        when length(t) <> 16 then format('a tax code has 16 characters, or a company''s 11 digits; this has %s', length(t))
        when t !~ '^[A-Z]{6}[0-9LMNPQRSTUV]{2}[ABCDEHLMPRST][0-9LMNPQRSTUV]{2}[A-Z][0-9LMNPQRSTUV]{3}[A-Z]$'
            then 'letters and digits of a tax code stand in other places'
        when translate(substr(t, 10, 2), 'LMNPQRSTUV', '0123456789')::int not in
                (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31,
                 41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 62, 63, 64, 65, 66, 67, 68, 69, 70, 71)
            then 'the day of birth in it is no day'
        when chr(65 + (
                select sum(case when i % 2 = 0 then case when c < 10 then c else c - 10 end
                    else ('{1,0,5,7,9,13,15,17,19,21,1,0,5,7,9,13,15,17,19,21,2,4,18,20,11,3,6,8,12,14,16,10,22,25,24,23}'::int[])[c + 1] end)::int % 26
                from (select i, strpos('0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ', substr(t, i, 1)) - 1 as c from generate_series(1, 15) as i) x)) <> right(t, 1)
            then 'its last letter does not fit the others'
    end;
end $$;
-- +goose StatementEnd

-- +goose StatementBegin
create function spola.sdi_flaw(t text, kind text) returns text language sql immutable parallel safe
return case
    when t !~ '^[A-Z0-9]{6,7}$' then 'an SDI code has 7 letters and digits, a public body''s 6'
    when length(t) = 6 and kind <> 'public' then 'it has 6 characters, as only a public body''s; the customer is none'
    when length(t) = 7 and kind = 'public' then 'a public body''s has 6 characters'
end;
-- +goose StatementEnd

-- +goose StatementBegin
create function spola.pec_flaw(t text) returns text language sql immutable parallel safe
return case when t !~ '^[^@\s,;]+@[^@\s,;]+\.[^@\s,;.]{2,}$' then 'it is no e-mail address' end;
-- +goose StatementEnd

-- All that can't be right about one customer's words.
-- +goose StatementBegin
create function spola.tax_flaws(kind text, country text, tax_code text, vat_number text, sdi text, pec text)
returns table (field text, value text, what text) language sql immutable parallel safe as $$
    select f.field, f.value, f.what
    from (values
        -- Italy's rules are for those in Italy; a number says its own country.
        ('tax_code', tax_code, case when country = 'IT' then spola.tax_code_flaw(tax_code) end),
        ('vat_number', vat_number, case when country = 'IT' or vat_number ~ '^[A-Z]{2}' then spola.vat_number_flaw(vat_number) end),
        ('sdi', sdi, case when country = 'IT' then spola.sdi_flaw(sdi, kind) end),
        ('pec', pec, spola.pec_flaw(pec))) as f(field, value, what)
    where f.value <> '' and f.what is not null
$$;
-- +goose StatementEnd

-- +goose Down
drop function spola.tax_flaws, spola.pec_flaw, spola.sdi_flaw, spola.tax_code_flaw, spola.vat_number_flaw, spola.digits_flaw,
    spola.vat_number, spola.code, spola.email;
delete from spola.reason where code in ('customer_ambiguous', 'malformed_tax_data');
drop table spola.flag, spola.customer_match;
alter table spola.shop drop malformed, drop matching;
