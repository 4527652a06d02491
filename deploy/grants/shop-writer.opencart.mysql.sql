-- The user that brings the ERP's stock and statuses into an OpenCart shop, on MySQL. Run by an
-- administrator of the shop's database, after shop-reader and three changes: the password, the
-- database (`shop`) and the prefix (`oc_`).
--
-- It can change the pieces of products and of their options, the state of an order, and add a row to an
-- order's history: nothing else of the shop's. It reads the columns that it needs for that.

CREATE USER 'spola_writer'@'%' IDENTIFIED BY 'change-me-writer';

-- Spola's one table in the shop, as `cdc` makes it: rights on it can't be given before it is there.
CREATE TABLE IF NOT EXISTS `shop`.`spola_marker` (
  name       varchar(191) NOT NULL PRIMARY KEY,
  generation bigint       NOT NULL DEFAULT 0,
  number     bigint       NOT NULL DEFAULT 0,
  applied    bigint       NOT NULL DEFAULT 0,
  note       text         NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;

-- Where each applier stands, and what each row of stock and each order has got: never deleted.
GRANT SELECT, INSERT, UPDATE ON `shop`.`spola_marker` TO 'spola_writer'@'%';

-- `applier run stock`
GRANT SELECT (`product_id`, `quantity`, `subtract`), UPDATE (`quantity`) ON `shop`.`oc_product` TO 'spola_writer'@'%';
GRANT SELECT (`product_option_value_id`, `product_id`, `quantity`, `subtract`), UPDATE (`quantity`) ON `shop`.`oc_product_option_value` TO 'spola_writer'@'%';

-- `applier run orders`
GRANT SELECT (`order_id`, `order_status_id`, `language_code`), UPDATE (`order_status_id`) ON `shop`.`oc_order` TO 'spola_writer'@'%';
GRANT INSERT (`order_id`, `order_status_id`, `notify`, `comment`, `date_added`) ON `shop`.`oc_order_history` TO 'spola_writer'@'%';
