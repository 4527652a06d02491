-- What the proof reads of an OpenCart 4 shop: plain rows in the order of the orders, nothing
-- worked out. {prefix} is the shop's table prefix, {orders} a condition on order_id; a line "-- name:" begins a statement.

-- name: settings
SELECT `key`, COALESCE(`value`, '') FROM `{prefix}setting`
WHERE `store_id` = 0 AND (`key` IN ('config_timezone', 'config_country_id') OR `key` LIKE 'total\_%\_tax\_class\_id')

-- name: rates
SELECT `name`, `rate`, `type` FROM `{prefix}tax_rate`

-- name: class rates
SELECT u.`tax_class_id`, g.`customer_group_id`, z.`country_id`, r.`rate`
FROM `{prefix}tax_rule` u
JOIN `{prefix}tax_rate` r ON r.`tax_rate_id` = u.`tax_rate_id` AND r.`type` = 'P'
JOIN `{prefix}tax_rate_to_customer_group` g ON g.`tax_rate_id` = r.`tax_rate_id`
JOIN `{prefix}zone_to_geo_zone` z ON z.`geo_zone_id` = r.`geo_zone_id`

-- name: orders
SELECT `order_id`, COALESCE(`order_status_id`, 0), COALESCE(`payment_method`, ''), COALESCE(`shipping_method`, ''), `customer_group_id`,
    COALESCE(`shipping_country_id`, 0), COALESCE(`payment_country_id`, 0), `total`
FROM `{prefix}order` WHERE {orders} ORDER BY `order_id`

-- name: lines
SELECT `order_id`, `order_product_id`, `product_id`, COALESCE(`model`, ''), `quantity`, `price`, `total`, `tax`
FROM `{prefix}order_product` WHERE {orders} ORDER BY `order_id`, `order_product_id`

-- name: options
SELECT o.`order_id`, o.`order_product_id`, COALESCE(o.`product_option_value_id`, 0), COALESCE(v.`subtract`, 0) = 1, COALESCE(o.`name`, ''), COALESCE(o.`value`, '')
FROM `{prefix}order_option` o
LEFT JOIN `{prefix}product_option_value` v ON v.`product_option_value_id` = o.`product_option_value_id`
WHERE {orders}
ORDER BY o.`order_id`, o.`order_product_id`, o.`order_option_id`

-- name: totals
SELECT `order_id`, `code`, `title`, `value` FROM `{prefix}order_total` WHERE {orders} ORDER BY `order_id`, `order_total_id`

-- name: histories
SELECT `order_id`, COALESCE(`order_status_id`, 0), CAST(`date_added` AS CHAR) FROM `{prefix}order_history` WHERE {orders} ORDER BY `order_id`, `order_history_id`

-- name: by token
SELECT `order_id` FROM `{prefix}order` WHERE `user_agent` = ? ORDER BY `order_id` LIMIT 1

-- name: since
-- The first order that was placed since a time, the shop's own.
SELECT COALESCE(MIN(`order_id`), 0) FROM `{prefix}order` WHERE `date_added` >= ?

-- name: stock
-- Rows of the shop's stock: a product's pieces, and those of each of its sizes. {products} and {values} are conditions on their keys.
SELECT CONCAT('product:', `product_id`), `quantity` FROM `{prefix}product` WHERE {products}
UNION ALL
SELECT CONCAT('option:', `product_option_value_id`), `quantity` FROM `{prefix}product_option_value` WHERE {values}

-- name: marks
-- What each row has taken of the pieces that Spola was to bring there, and the number of the last entry.
SELECT `name`, `applied`, `number` FROM `spola_marker` WHERE `name` LIKE 'product:%' OR `name` LIKE 'option:%'

-- name: begun
-- Orders without a state that were begun or touched since a time, the shop's own: their pieces may have been subtracted a moment ago.
SELECT `order_id` FROM `{prefix}order` WHERE `order_status_id` = 0 AND `date_modified` >= ?

-- name: rows of orders
-- Of the shop's stock, whatever was subtracted from them.
SELECT CONCAT('product:', `product_id`) FROM `{prefix}order_product` WHERE {orders}
UNION
SELECT CONCAT('product:', `master_id`) FROM `{prefix}order_product` WHERE `master_id` > 0 AND {orders}
UNION
SELECT CONCAT('option:', `product_option_value_id`) FROM `{prefix}order_option` WHERE {orders}
