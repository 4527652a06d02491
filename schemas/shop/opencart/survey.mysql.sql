-- What `spola init` and `spola doctor` look at in an OpenCart 4 shop. Plain reads, each over one table or
-- along a key; {prefix} is the shop's table prefix, {first} the number of the first order that may leave the
-- shop, and a line "-- name:" begins a statement.
--
-- Another platform gives the same columns under the same names. Lists within a column are separated by
-- newlines. A "code" of a payment method is its extension's, the part before the point.

-- name: settings
SELECT CASE `key` WHEN 'config_name' THEN 'name' WHEN 'config_timezone' THEN 'timezone' WHEN 'config_currency' THEN 'currency'
        WHEN 'config_language_catalog' THEN 'language' WHEN 'config_order_status_id' THEN 'new' WHEN 'config_void_status_id' THEN 'void'
        WHEN 'config_fraud_status_id' THEN 'fraud' WHEN 'config_processing_status' THEN 'processing' WHEN 'config_complete_status' THEN 'complete'
        WHEN 'config_country_id' THEN 'country' END,
    COALESCE(CASE `key` WHEN 'config_country_id' THEN (SELECT c.`iso_code_2` FROM `{prefix}country` c WHERE c.`country_id` = s.`value`) ELSE s.`value` END, ''),
    `key`
FROM `{prefix}setting` s
WHERE `store_id` = 0 AND `key` IN ('config_name', 'config_timezone', 'config_currency', 'config_language_catalog', 'config_order_status_id',
    'config_void_status_id', 'config_fraud_status_id', 'config_processing_status', 'config_complete_status', 'config_country_id')

-- name: first order
SELECT COALESCE(MIN(`order_id`), 4294967296) FROM `{prefix}order` WHERE `date_added` >= ?

-- name: stores
SELECT `store_id`, COALESCE(`name`, '') FROM `{prefix}store` ORDER BY `store_id`

-- name: languages
SELECT COALESCE(`code`, ''), COALESCE(`name`, ''), COALESCE(`status`, 1) = 1 FROM `{prefix}language` ORDER BY `language_id`

-- name: currencies
SELECT COALESCE(`code`, ''), COALESCE(`value`, 0), COALESCE(`status`, 0) = 1 FROM `{prefix}currency` ORDER BY `code`

-- name: states
SELECT s.`order_status_id`, GROUP_CONCAT(DISTINCT s.`name` ORDER BY s.`language_id` SEPARATOR '\n'),
    EXISTS (SELECT 1 FROM `{prefix}setting` x WHERE x.`store_id` = 0 AND x.`key` IN ('config_processing_status', 'config_complete_status')
        AND FIND_IN_SET(s.`order_status_id`, REPLACE(REPLACE(REPLACE(REPLACE(x.`value`, '[', ''), ']', ''), '"', ''), ' ', '')) > 0)
FROM `{prefix}order_status` s GROUP BY s.`order_status_id` ORDER BY s.`order_status_id`

-- The payment methods that are switched on, and the state in which each leaves a confirmed order.
-- name: methods
SELECT SUBSTRING(s.`code`, 9),
    COALESCE((SELECT x.`value` FROM `{prefix}setting` x WHERE x.`store_id` = 0 AND x.`key` = CONCAT(s.`code`, '_order_status_id') LIMIT 1), '')
FROM `{prefix}setting` s
WHERE s.`store_id` = 0 AND s.`code` LIKE 'payment\_%' AND s.`key` = CONCAT(s.`code`, '_status') AND s.`value` = '1' ORDER BY 1

-- name: orders
SELECT COALESCE(`order_status_id`, 0),
    SUBSTRING_INDEX(IF(INSTR(`payment_method`, '"code":"') > 0, SUBSTRING_INDEX(SUBSTRING_INDEX(`payment_method`, '"code":"', -1), '"', 1), ''), '.', 1) AS code,
    MAX(IF(INSTR(`payment_method`, '"name":"') > 0, SUBSTRING_INDEX(SUBSTRING_INDEX(`payment_method`, '"name":"', -1), '"', 1), '')),
    COUNT(*), MAX(`order_id`), COALESCE(CAST(DATE(MIN(`date_added`)) AS CHAR), '')
FROM `{prefix}order` WHERE `order_id` >= {first} GROUP BY 1, 2 ORDER BY 1, 2

-- name: totals
SELECT COALESCE(`code`, ''), MAX(COALESCE(`title`, '')), COUNT(*), MIN(`value`), MAX(`value`), MAX(`order_id`)
FROM `{prefix}order_total` WHERE `order_id` >= {first} GROUP BY 1 ORDER BY 1

-- The rows that extensions add to an order's totals, with the tax class that their settings name.
-- name: total modules
SELECT SUBSTRING(`code`, 7), COALESCE(MAX(CASE WHEN `key` = CONCAT(`code`, '_status') THEN `value` END), '') = '1',
    COALESCE(MAX(CASE WHEN `key` = CONCAT(`code`, '_tax_class_id') THEN `value` END), '')
FROM `{prefix}setting` WHERE `store_id` = 0 AND `code` LIKE 'total\_%' GROUP BY `code` ORDER BY 1

-- name: tax classes
SELECT `tax_class_id`, COALESCE(`title`, '') FROM `{prefix}tax_class` ORDER BY `tax_class_id`

-- name: tax rates
SELECT r.`tax_rate_id`, COALESCE(r.`name`, ''), COALESCE(r.`rate`, 0), COALESCE(r.`type`, '') = 'P',
    COALESCE((SELECT GROUP_CONCAT(DISTINCT c.`iso_code_2` ORDER BY c.`iso_code_2` SEPARATOR '\n')
        FROM `{prefix}zone_to_geo_zone` z JOIN `{prefix}country` c ON c.`country_id` = z.`country_id` WHERE z.`geo_zone_id` = r.`geo_zone_id`), ''),
    EXISTS (SELECT 1 FROM `{prefix}tax_rule` u WHERE u.`tax_rate_id` = r.`tax_rate_id`)
FROM `{prefix}tax_rate` r ORDER BY r.`tax_rate_id`

-- Rules that name a rate which is no longer there.
-- name: broken tax rules
SELECT u.`tax_class_id`, u.`tax_rate_id` FROM `{prefix}tax_rule` u
WHERE NOT EXISTS (SELECT 1 FROM `{prefix}tax_rate` r WHERE r.`tax_rate_id` = u.`tax_rate_id`) ORDER BY 1, 2

-- name: tax titles
SELECT COALESCE(`title`, ''), COUNT(*), MAX(`order_id`) FROM `{prefix}order_total` WHERE `code` = 'tax' AND `value` <> 0 AND `order_id` >= {first} GROUP BY 1 ORDER BY 1

-- name: fields
SELECT f.`custom_field_id`,
    COALESCE((SELECT GROUP_CONCAT(DISTINCT d.`name` ORDER BY d.`language_id` SEPARATOR '\n')
        FROM `{prefix}custom_field_description` d WHERE d.`custom_field_id` = f.`custom_field_id`), ''),
    COALESCE(f.`type`, ''), COALESCE(f.`location`, ''), COALESCE(f.`status`, 0) = 1
FROM `{prefix}custom_field` f ORDER BY f.`custom_field_id`

-- What customers have written into their fields in the newest orders, as JSON objects.
-- name: field values
SELECT COALESCE(`custom_field`, ''), COALESCE(`payment_custom_field`, ''), COALESCE(`shipping_custom_field`, '')
FROM `{prefix}order`
WHERE `order_id` > (SELECT COALESCE(MAX(`order_id`), 0) - 2000 FROM `{prefix}order`)
    AND (`custom_field` LIKE '{%' OR `payment_custom_field` LIKE '{%' OR `shipping_custom_field` LIKE '{%')

-- name: groups
SELECT g.`customer_group_id`,
    COALESCE((SELECT GROUP_CONCAT(DISTINCT d.`name` ORDER BY d.`language_id` SEPARATOR '\n')
        FROM `{prefix}customer_group_description` d WHERE d.`customer_group_id` = g.`customer_group_id`), '')
FROM `{prefix}customer_group` g ORDER BY g.`customer_group_id`

-- Countries of delivery to which something was sold without VAT.
-- name: untaxed
SELECT COALESCE(c.`iso_code_2`, ''), COUNT(DISTINCT o.`order_id`), MAX(o.`order_id`)
FROM `{prefix}order_product` p
JOIN `{prefix}order` o ON o.`order_id` = p.`order_id` AND o.`order_status_id` > 0
LEFT JOIN `{prefix}country` c ON c.`country_id` = IF(o.`shipping_country_id` > 0, o.`shipping_country_id`, o.`payment_country_id`)
WHERE p.`tax` = 0 AND p.`price` > 0 AND p.`order_id` >= {first} GROUP BY 1 ORDER BY 1

-- name: products
SELECT `product_id`, COALESCE(`model`, ''), COALESCE(`status`, 0) = 1, COALESCE(`tax_class_id`, 0) FROM `{prefix}product` ORDER BY `product_id`

-- Option values that keep stock of their own: each is another article.
-- name: variants
SELECT `product_id`, CAST(`product_option_value_id` AS CHAR) FROM `{prefix}product_option_value` WHERE `subtract` = 1 ORDER BY 1, `product_option_value_id`
