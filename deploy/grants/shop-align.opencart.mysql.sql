-- What `applier align` takes besides: the right to bring prices, special prices, weights and sizes of
-- the ERP into an OpenCart shop, on command, on MySQL. Run by an administrator of the shop's database,
-- after shop-writer, with the same database (`shop`) and prefix (`oc_`). Who keeps his catalogue in the
-- shop leaves it out: nothing else that Spola does needs it.

-- What is compared.
GRANT SELECT ON `shop`.`oc_setting` TO 'spola_writer'@'%';
GRANT SELECT ON `shop`.`oc_currency` TO 'spola_writer'@'%';
GRANT SELECT ON `shop`.`oc_tax_rule` TO 'spola_writer'@'%';
GRANT SELECT ON `shop`.`oc_tax_rate` TO 'spola_writer'@'%';
GRANT SELECT ON `shop`.`oc_tax_rate_to_customer_group` TO 'spola_writer'@'%';
GRANT SELECT ON `shop`.`oc_zone_to_geo_zone` TO 'spola_writer'@'%';
GRANT SELECT ON `shop`.`oc_weight_class` TO 'spola_writer'@'%';
GRANT SELECT ON `shop`.`oc_weight_class_description` TO 'spola_writer'@'%';
GRANT SELECT ON `shop`.`oc_length_class` TO 'spola_writer'@'%';
GRANT SELECT ON `shop`.`oc_length_class_description` TO 'spola_writer'@'%';
GRANT SELECT ON `shop`.`oc_category_description` TO 'spola_writer'@'%';
GRANT SELECT ON `shop`.`oc_category_path` TO 'spola_writer'@'%';
GRANT SELECT ON `shop`.`oc_product_to_category` TO 'spola_writer'@'%';
GRANT SELECT ON `shop`.`oc_product` TO 'spola_writer'@'%';
GRANT SELECT ON `shop`.`oc_product_option_value` TO 'spola_writer'@'%';
GRANT SELECT ON `shop`.`oc_product_discount` TO 'spola_writer'@'%';

-- What --apply writes: leave out what is none of Spola's business, and align with --fields. A special price
-- is a row, made and taken away whole.
GRANT UPDATE (`price`) ON `shop`.`oc_product` TO 'spola_writer'@'%';
GRANT UPDATE (`price`, `price_prefix`) ON `shop`.`oc_product_option_value` TO 'spola_writer'@'%';
GRANT INSERT, DELETE ON `shop`.`oc_product_discount` TO 'spola_writer'@'%';
GRANT UPDATE (`weight`, `width`, `height`, `length`) ON `shop`.`oc_product` TO 'spola_writer'@'%';
GRANT UPDATE (`weight`, `weight_prefix`) ON `shop`.`oc_product_option_value` TO 'spola_writer'@'%';
