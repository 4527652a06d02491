-- The tables of the reference ERP. Functions write them (00003 and on), people may read them.
--
-- Money is bigint cents, VAT included unless the name says net. The rows of an order carry no foreign
-- keys: the functions check every reference for a whole call at once and name the order that is wrong,
-- where a key would fail everybody's COMMIT (and cost a trigger a row).

-- +goose Up
create table erp.warehouse (
    id       smallint primary key,
    code     text not null unique,
    name     text not null,
    web_rank smallint unique check (web_rank > 0)  -- 1, 2 …: order of allocation for web shops; null: traditional trade only
);

create table erp.product (
    id   bigint generated always as identity primary key,
    code text not null unique,
    name text not null
);

-- What is sold and stocked: a product without variants has one article, else one a variant.
create table erp.article (
    id         bigint generated always as identity primary key,
    product_id bigint not null references erp.product,
    sku        text not null unique,
    ean        text not null default '',
    name       text not null,
    vat_rate   numeric(6,3) not null check (vat_rate >= 0 and vat_rate <= 100),
    gross      bigint not null default 0 check (gross >= 0),
    special    bigint check (special >= 0),  -- null: none
    special_from date,                       -- its first and its last day; null: no bound
    special_to   date check (special_to >= special_from),
    weight_kg  numeric(12,3) not null default 0 check (weight_kg >= 0),
    width_cm   numeric(12,2) not null default 0 check (width_cm >= 0),
    height_cm  numeric(12,2) not null default 0 check (height_cm >= 0),
    depth_cm   numeric(12,2) not null default 0 check (depth_cm >= 0),
    stocked    boolean not null default true,  -- false: a service or a download, never committed
    changed_at timestamptz not null default now()
);
create index on erp.article (product_id);

create table erp.article_option (
    article_id bigint not null references erp.article on delete cascade,
    name       text not null,
    value      text not null,
    primary key (article_id, name)
);

-- On hand and committed of an article in a warehouse, kept in the same transaction as their cause.
-- Free for new orders is on_hand - committed; below zero it is backorder, at the first-ranked only.
create table erp.stock (
    article_id   bigint not null references erp.article,
    warehouse_id smallint not null references erp.warehouse,
    on_hand      bigint not null default 0 check (on_hand >= 0),
    committed    bigint not null default 0 check (committed >= 0),
    primary key (article_id, warehouse_id)
) with (fillfactor = 70);

-- The journal: on hand is the sum of its quantities.
create table erp.stock_movement (
    id           bigint generated always as identity primary key,
    at           timestamptz not null default now(),
    article_id   bigint not null,
    warehouse_id smallint not null,
    quantity     bigint not null check (quantity <> 0),
    cause        text not null check (cause in ('receipt', 'sale', 'shipment', 'return', 'count', 'move')),
    order_id     bigint,
    line         integer,                -- of that order
    note         text not null default ''
);
create index on erp.stock_movement (article_id, id);

create table erp.customer (
    id         bigint generated always as identity primary key,
    reference  text unique,              -- the bridge's; null for customers entered by hand
    kind       text not null check (kind in ('private', 'company', 'public')),
    first_name text not null default '',
    last_name  text not null default '',
    company    text not null default '',
    email      text not null default '',
    phone      text not null default '',
    language   text not null default '',
    tax_code   text not null default '',
    vat_number text not null default '',
    pec        text not null default '',
    sdi        text not null default '',
    address    erp.address,
    imported   erp.customer_in           -- as last imported: a field that still equals it was not edited here
);

-- The last number given out in a series and year. The row is locked until commit, so there are no holes.
create table erp.counter (
    series text not null,
    year   smallint not null,
    last   bigint not null,
    primary key (series, year)
);

create table erp.sales_order (
    id                bigint generated always as identity primary key,
    reference         text unique,       -- the bridge's; null for orders of the traditional trade
    series            text not null,     -- W: web, T: traditional
    year              smallint not null,
    number            bigint not null,
    channel           text not null check (channel in ('web', 'traditional')),
    state             text not null default 'open' check (state in ('open', 'part_shipped', 'shipped', 'cancelled', 'closed_short')),
    cancelled_by      text check (cancelled_by in ('shop', 'clerk')),
    cancel_reason     text not null default '',        -- or why it was closed short
    shop              text not null default '',
    shop_number       text not null default '',
    placed_at         timestamptz not null,
    taken_at          timestamptz not null default now(),
    customer_id       bigint not null,
    kind              text not null check (kind in ('private', 'company', 'public')),
    email             text not null default '',
    phone             text not null default '',
    language          text not null default '',
    note              text not null default '',
    tax_code          text not null default '',
    vat_number        text not null default '',
    pec               text not null default '',
    sdi               text not null default '',
    invoice_wanted    boolean not null default false,
    billing           erp.address not null,
    shipping          erp.address not null,
    shipping_code     text not null default '',
    shipping_method   text not null default '',
    currency          text not null,
    total             bigint not null check (total >= 0),
    customer_currency text not null,
    customer_factor   numeric not null,
    customer_total    numeric not null,
    unique (series, year, number)
);
create index on erp.sales_order (customer_id);

-- A line keeps its number for good; an edited order may show its lines in another order (position).
create table erp.order_line (
    order_id    bigint not null,
    line        integer not null,
    position    integer not null,
    article_id  bigint not null,
    name        text not null,
    options     text not null default '',
    quantity    bigint not null check (quantity > 0),
    shipped     bigint not null default 0 check (shipped >= 0 and shipped <= quantity),
    returned    bigint not null default 0 check (returned >= 0 and returned <= shipped),  -- of these, come back
    unit_gross  numeric not null,
    gross       bigint not null,
    vat_rate    numeric(6,3) not null,
    vat_country text not null,
    vat_nature  text not null default '',
    primary key (order_id, line)
);

create table erp.order_charge (
    order_id    bigint not null,
    line        integer not null,
    kind        text not null check (kind in ('charge', 'discount')),
    code        text not null default '',
    title       text not null default '',
    gross       bigint not null,
    vat_rate    numeric(6,3) not null,
    vat_country text not null,
    vat_nature  text not null default '',
    primary key (order_id, line)
);

create table erp.order_vat (
    order_id    bigint not null,
    vat_rate    numeric(6,3) not null,
    vat_country text not null,
    vat_nature  text not null default '',
    gross       bigint not null,
    net         bigint not null,
    vat         bigint not null,
    primary key (order_id, vat_rate, vat_country, vat_nature)
);

create table erp.order_payment (
    order_id    bigint not null,
    line        integer not null,
    kind        text not null check (kind in ('paid', 'to_collect', 'credit')),
    code        text not null default '',
    title       text not null default '',
    amount      bigint not null,
    transaction text not null default '',
    primary key (order_id, line)
);

-- Pieces of a line that wait in a warehouse for their shipment. Gone when shipped or cancelled, so the
-- table is as large as what is open, not as what was ever sold.
create table erp.commitment (
    order_id     bigint not null,
    line         integer not null,
    warehouse_id smallint not null,
    article_id   bigint not null,
    quantity     bigint not null check (quantity > 0),
    backorder    bigint not null default 0 check (backorder >= 0 and backorder <= quantity),  -- not on hand when committed
    primary key (order_id, line, warehouse_id)
);
create index commitment_backorder on erp.commitment (article_id, warehouse_id, order_id) where backorder > 0;

-- Who carries parcels, and where the customer follows them. Add your own, or change a row: links come and go with carriers' sites.
create table erp.carrier (
    code    text primary key,
    name    text not null,
    link    text not null default '' check (link = '' or link ~ '^https://[^\s"<>]+$' and link like '%{number}%'),  -- empty: none is known
    pattern text not null default '',    -- what a number looks like, without blanks: a regular expression; empty: anything
    source  text not null default ''     -- the page where link and pattern were read; two where they stand on two
);
insert into erp.carrier (code, name, link, pattern, source) values
    ('BRT', 'BRT', 'https://vas.brt.it/vas/sped_det_show.hsm?nspediz={number}', '^([0-9]{12}|[0-9]{14})$',
        'https://apidocs.gsped.com/spedizioni-e-dintorni/tracking https://services.brt.it/it/tracking'),
    -- One or two letters and eight or nine digits within Italy (Y1 550012467), eleven or twelve digits abroad, or a track ID of eight.
    ('GLS', 'GLS', 'https://gls-group.com/IT/it/servizi-online/ricerca-spedizioni/?match={number}', '^([A-Z][A-Z0-9]?[0-9]{8,9}|[0-9]{11,12}|[A-Z0-9]{8})$',
        'https://gls-group.com/IT/it/servizi-online/ricerca-spedizioni/ https://store.gls-italy.com/en/faq'),
    ('POSTE', 'Poste Italiane', 'https://www.poste.it/cerca/index.html#/risultati-spedizioni/{number}', '^[A-Za-z0-9]{7}[0-9]{4}[A-Za-z0-9]{0,2}[0-9]?$',
        'https://www.poste.it/cerca/partials/forms-ricerche.html'),  -- what the search box of its pages does
    ('SDA', 'SDA', 'https://www.sda.it/wps/portal/Servizi_online/dettaglio-spedizione?locale=it&tracing.letteraVettura={number}', '^[A-Za-z0-9]{13}([A-Za-z0-9]{7})?$',
        'https://github.com/wapicom/API/blob/97793e9e99abc556640b3149b8c07907ec67be1a/README.md https://track.global/it/courier/sda-italy'),
    ('INPOST', 'InPost', 'https://inpost.it/trova-il-tuo-pacco?number={number}', '^([0-9]{8}|[0-9]{10,11}|[0-9]{13}|[0-9]{15}|[0-9]{22}|[0-9]{24}|[0-9]{26}|LM[0-9]{9}IT|[A-Z]{4}[0-9]{15})$',
        'https://inpost.it/ https://github.com/common-repository/inpost-italy/blob/13230085c5f3407861ea7b371be604e9678c78a6/src/InspireLabs/InpostItaly/EasyPack_Italy_Helper.php'),
    ('DHL', 'DHL', 'https://www.dhl.com/en/express/tracking.html?brand=DHL&AWB={number}', '^([0-9]{10,11}|J[A-Z]{2,3}[0-9]{9,10})$',
        'https://github.com/jkeen/tracking_number_data/blob/24c6f035fc2bac46bcd9fcbcd14b87f70bc5db09/couriers/dhl.json'),
    ('UPS', 'UPS', 'https://www.ups.com/track?tracknum={number}', '^(1Z[0-9A-Z]{16}|[0-9]{9,10}|[0-9]{12}|[THV][0-9]{10})$',
        'https://github.com/woocommerce/woocommerce/blob/09c02d737cf712ee84e9cd60aeadeadf8871e50c/plugins/woocommerce/src/Admin/Features/Fulfillments/Providers/UPSShippingProvider.php'),
    ('FEDEX', 'FedEx', 'https://www.fedex.com/apps/fedextrack/?tracknumbers={number}', '^([0-9]{12}|[0-9]{15}|[0-9]{18}|[0-9]{20}|[0-9]{22}|[0-9]{34})$',
        'https://github.com/jkeen/tracking_number_data/blob/06f1a2bb110d184a20fc75e4afb23d51d99a468f/couriers/fedex.json'),
    ('TNT', 'TNT', 'https://www.tnt.it/tracking/getTrack.html?wt=1&consigNos={number}', '^([A-Z]{2})?[0-9]{8,9}([A-Z]{2})?$',
        'https://www.ibuyrecords.it/record-shop/shipping-policy/ http://www.wheremy.com/tnt-tracking/'),
    ('DPD', 'DPD', 'https://www.dpdgroup.com/nl/mydpd/my-parcels/track?lang=en&parcelNumber={number}', '^([0-9]{14}|[0-9]{27}[0-9A-Z])$',
        'https://github.com/jkeen/tracking_number_data/blob/336ce0085064bbf8eac412c6614fd40d58f4d7f6/couriers/dpd.json'),
    ('LAPOSTE', 'La Poste / Colissimo', 'https://www.laposte.fr/outils/suivre-vos-envois?code={number}', '^[0-9A-Z]{11,15}$',
        'https://www.universcolis.fr/questions/suivi/difference-numero-suivi-numero-commande https://github.com/woocommerce/woocommerce/blob/4ecd0c338a647f45a8fbbb1731f0df6bd5e69683/plugins/woocommerce/src/Admin/Features/Fulfillments/Providers/LaPosteColissimoShippingProvider.php');

-- What left a warehouse for an order at one time, under one tracking number.
create table erp.shipment (
    id           bigint generated always as identity primary key,
    order_id     bigint not null,
    warehouse_id smallint not null,
    carrier      text references erp.carrier,  -- null: fetched by the customer, or brought by oneself
    tracking     text not null default '',
    packages     integer not null default 1 check (packages > 0),
    weight_kg    numeric(12,3) check (weight_kg > 0),  -- null: not weighed
    complete     boolean not null,             -- nothing of the order was left to be shipped
    shipped_at   timestamptz not null default now()
);
create index on erp.shipment (order_id);

create table erp.shipment_line (
    shipment_id bigint not null,
    order_id    bigint not null,
    line        integer not null,
    article_id  bigint not null,
    quantity    bigint not null check (quantity > 0),
    primary key (shipment_id, line)
);

-- +goose Down
drop table erp.shipment_line, erp.shipment, erp.carrier, erp.commitment, erp.order_payment, erp.order_vat, erp.order_charge, erp.order_line, erp.sales_order,
    erp.counter, erp.customer, erp.stock_movement, erp.stock, erp.article_option, erp.article, erp.product, erp.warehouse;
