-- The user that `cdc` reads an OpenCart shop as, on MariaDB. Run by an administrator of the shop's
-- database, after three changes: the password, the database (`shop`) and the prefix (`oc_`).
--
-- It can read the binlog and the tables that orders are made of, and write one table,
-- spola_marker. It can change nothing of the shop's. A binlog carries every change of every
-- database of its server, so keep this password as you would an administrator's.

CREATE USER 'spola_cdc'@'%' IDENTIFIED BY 'change-me';

-- To read the binlog, and to see where it stands and which settings it has.
GRANT REPLICATION SLAVE, BINLOG MONITOR ON *.* TO 'spola_cdc'@'%';

-- What a snapshot reads: the tables of schemas/shop/opencart/profile.yaml. Of a customer, the
-- columns named there only: the table holds the password and tokens too.
GRANT SELECT ON `shop`.`oc_setting` TO 'spola_cdc'@'%';
GRANT SELECT ON `shop`.`oc_currency` TO 'spola_cdc'@'%';
GRANT SELECT ON `shop`.`oc_language` TO 'spola_cdc'@'%';
GRANT SELECT ON `shop`.`oc_country` TO 'spola_cdc'@'%';
GRANT SELECT ON `shop`.`oc_zone` TO 'spola_cdc'@'%';
GRANT SELECT ON `shop`.`oc_geo_zone` TO 'spola_cdc'@'%';
GRANT SELECT ON `shop`.`oc_zone_to_geo_zone` TO 'spola_cdc'@'%';
GRANT SELECT ON `shop`.`oc_tax_class` TO 'spola_cdc'@'%';
GRANT SELECT ON `shop`.`oc_tax_rate` TO 'spola_cdc'@'%';
GRANT SELECT ON `shop`.`oc_tax_rule` TO 'spola_cdc'@'%';
GRANT SELECT ON `shop`.`oc_tax_rate_to_customer_group` TO 'spola_cdc'@'%';
GRANT SELECT ON `shop`.`oc_order_status` TO 'spola_cdc'@'%';
GRANT SELECT ON `shop`.`oc_product` TO 'spola_cdc'@'%';
GRANT SELECT ON `shop`.`oc_product_code` TO 'spola_cdc'@'%';
GRANT SELECT ON `shop`.`oc_product_option_value` TO 'spola_cdc'@'%';
GRANT SELECT ON `shop`.`oc_product_description` TO 'spola_cdc'@'%';
GRANT SELECT ON `shop`.`oc_option_description` TO 'spola_cdc'@'%';
GRANT SELECT ON `shop`.`oc_option_value_description` TO 'spola_cdc'@'%';
GRANT SELECT (`customer_id`, `customer_group_id`, `store_id`, `language_id`, `firstname`, `lastname`,
    `email`, `telephone`, `custom_field`, `status`, `date_added`) ON `shop`.`oc_customer` TO 'spola_cdc'@'%';
GRANT SELECT ON `shop`.`oc_address` TO 'spola_cdc'@'%';
GRANT SELECT ON `shop`.`oc_order` TO 'spola_cdc'@'%';
GRANT SELECT ON `shop`.`oc_order_product` TO 'spola_cdc'@'%';
GRANT SELECT ON `shop`.`oc_order_option` TO 'spola_cdc'@'%';
GRANT SELECT ON `shop`.`oc_order_total` TO 'spola_cdc'@'%';
GRANT SELECT ON `shop`.`oc_order_history` TO 'spola_cdc'@'%';

-- What only `spola init` and `spola doctor` look at: names of the merchant's own fields and groups.
GRANT SELECT ON `shop`.`oc_store` TO 'spola_cdc'@'%';
GRANT SELECT ON `shop`.`oc_custom_field` TO 'spola_cdc'@'%';
GRANT SELECT ON `shop`.`oc_custom_field_description` TO 'spola_cdc'@'%';
GRANT SELECT ON `shop`.`oc_customer_group` TO 'spola_cdc'@'%';
GRANT SELECT ON `shop`.`oc_customer_group_description` TO 'spola_cdc'@'%';

-- Spola's one table in the shop: ticks and watermarks. `cdc` makes it.
GRANT SELECT, INSERT, UPDATE, DELETE, CREATE ON `shop`.`spola_marker` TO 'spola_cdc'@'%';
