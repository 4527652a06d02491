-- By what customers are looked for: without an index each new customer of a shop that matches would cost a look at all.

-- +goose Up
create index customer_email on erp.customer (lower(email)) where email <> '';
create index customer_vat_number on erp.customer (upper(replace(vat_number, ' ', ''))) where vat_number <> '';
create index customer_tax_code on erp.customer (upper(replace(tax_code, ' ', ''))) where tax_code <> '';

-- +goose Down
drop index erp.customer_tax_code, erp.customer_vat_number, erp.customer_email;
