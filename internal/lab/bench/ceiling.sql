-- The ceiling: what PostgreSQL itself needs for orders of this size, by the fewest statements
-- that make an ERP's order of them. No number is checked, nothing is parked, no edit is possible,
-- and it can't be asked again: nobody could use it. $1, $2: first and last order of the batch.

-- name: tables
create table place (id int primary key, seq bigint not null) with (fillfactor = 50);
insert into place values (1, 0);

create table shop_order (
    order_id int primary key, invoice_no int, invoice_prefix text, transaction_id text, store_id int, store_name text,
    customer_id int, customer_group_id int, firstname text, lastname text, email text, telephone text, custom_field text,
    payment_firstname text, payment_lastname text, payment_company text, payment_address_1 text, payment_address_2 text,
    payment_city text, payment_postcode text, payment_country text, payment_country_id int, payment_zone text, payment_method text,
    shipping_firstname text, shipping_lastname text, shipping_company text, shipping_address_1 text, shipping_address_2 text,
    shipping_city text, shipping_postcode text, shipping_country text, shipping_country_id int, shipping_zone text, shipping_method text,
    comment text, total numeric(15, 4), order_status_id int, currency_code text, date_added timestamp);
create table shop_product (order_product_id int primary key, order_id int, product_id int, name text, model text, quantity int, price numeric(15, 4), total numeric(15, 4), tax numeric(15, 4));
create index on shop_product (order_id);
create table shop_total (order_total_id int primary key, order_id int, code text, title text, value numeric(15, 4), sort_order int);
create index on shop_total (order_id);
create table shop_history (order_history_id int primary key, order_id int, order_status_id int, notify int, comment text, date_added timestamp);
create index on shop_history (order_id);

create table article (id int primary key, model text unique);
insert into article select n, 'SP-' || n from generate_series(1, 40) n;
create table customer (id bigint generated always as identity primary key, email text unique, name text, address text);
create table sales_order (id bigint generated always as identity primary key, shop_order int unique, customer_id bigint, placed_at timestamp,
    name text, street text, city text, postcode text, country text, method text, total bigint);
create table line (order_id bigint, position int, article_id int, quantity int, gross bigint, net numeric(15, 4), primary key (order_id, position));
create table charge (order_id bigint, code text, gross bigint, primary key (order_id, code));
create table vat (order_id bigint, rate int, net bigint, vat bigint, primary key (order_id, rate));
create table commitment (order_id bigint, position int, warehouse int, quantity int, primary key (order_id, position, warehouse));
create index on commitment (warehouse);

-- name: customers
insert into customer (email, name, address)
select distinct on (email) email, firstname || ' ' || lastname, payment_address_1 || ', ' || payment_city
from shop_order where order_id between $1 and $2
on conflict (email) do nothing

-- name: orders
insert into sales_order (shop_order, customer_id, placed_at, name, street, city, postcode, country, method, total)
select o.order_id, c.id, o.date_added, o.shipping_firstname || ' ' || o.shipping_lastname, o.shipping_address_1, o.shipping_city,
    o.shipping_postcode, o.shipping_country, o.payment_method, round(o.total * 100)
from shop_order o join customer c using (email) where o.order_id between $1 and $2

-- name: lines
insert into line (order_id, position, article_id, quantity, gross, net)
select s.id, row_number() over (partition by s.id order by p.order_product_id), a.id, p.quantity, round((p.total + p.tax * p.quantity) * 100), p.total
from sales_order s join shop_product p on p.order_id = s.shop_order join article a on a.model = p.model where s.shop_order between $1 and $2

-- name: charges
insert into charge (order_id, code, gross)
select s.id, t.code, round(t.value * 122) from sales_order s join shop_total t on t.order_id = s.shop_order
where s.shop_order between $1 and $2 and t.code not in ('sub_total', 'tax', 'total')

-- name: vat
insert into vat (order_id, rate, net, vat)
select s.id, 22, sum(round(t.value * 100)) filter (where t.code = 'sub_total'), sum(round(t.value * 100)) filter (where t.code = 'tax')
from sales_order s join shop_total t on t.order_id = s.shop_order where s.shop_order between $1 and $2 group by s.id

-- name: commitments
insert into commitment (order_id, position, warehouse, quantity)
select l.order_id, l.position, 1, l.quantity from sales_order s join line l on l.order_id = s.id where s.shop_order between $1 and $2
