-- What `applier align` compares of an OpenCart 4 shop's catalogue with the ERP's, and writes on command.
-- {prefix} is the shop's table prefix, {ids} a list of keys. A line "-- name:" begins a statement.
--
-- A price is net, with four decimals, the default customer group's rate of the product's tax class on
-- top. An option's value adds to price and weight or takes off, by its prefix. The special price is the row of
-- product_discount with special = 1 and quantity = 1 of the default customer group, of type F (a
-- price); it holds from date_start to the day before date_end, '0000-00-00' is no bound. Rows of other groups,
-- quantities and discounts (special = 0) are the merchant's own. Lists of products in the shop's file
-- cache show the former price until it expires.

-- name: settings
SELECT `key`, `value` FROM `{prefix}setting` WHERE `store_id` = 0 AND `code` = 'config'
  AND `key` IN ('config_currency', 'config_country_id', 'config_zone_id', 'config_customer_group_id', 'config_tax_default')

-- name: decimals
SELECT `decimal_place` FROM `{prefix}currency` WHERE `code` = ?

-- name: taxes
-- Rates of each tax class for a visitor from the shop's own country and zone. Group, country, zone, and
-- which address counts before the customer has given one.
SELECT r.`tax_class_id`, t.`tax_rate_id`, CAST(t.`rate` AS CHAR), t.`type`
FROM `{prefix}tax_rule` r
JOIN `{prefix}tax_rate` t ON t.`tax_rate_id` = r.`tax_rate_id`
JOIN `{prefix}tax_rate_to_customer_group` g ON g.`tax_rate_id` = t.`tax_rate_id` AND g.`customer_group_id` = ?
JOIN `{prefix}zone_to_geo_zone` z ON z.`geo_zone_id` = t.`geo_zone_id` AND z.`country_id` = ? AND z.`zone_id` IN (0, ?)
WHERE r.`based` IN ('store', ?)
GROUP BY r.`tax_class_id`, t.`tax_rate_id`, t.`rate`, t.`type`

-- name: weight units
SELECT c.`weight_class_id`, CAST(c.`value` AS CHAR), MIN(LOWER(TRIM(d.`unit`)))
FROM `{prefix}weight_class` c JOIN `{prefix}weight_class_description` d ON d.`weight_class_id` = c.`weight_class_id`
GROUP BY c.`weight_class_id`, c.`value`

-- name: length units
SELECT c.`length_class_id`, CAST(c.`value` AS CHAR), MIN(LOWER(TRIM(d.`unit`)))
FROM `{prefix}length_class` c JOIN `{prefix}length_class_description` d ON d.`length_class_id` = c.`length_class_id`
GROUP BY c.`length_class_id`, c.`value`

-- name: models
-- All products with their code, and whether some option of theirs keeps stock.
SELECT p.`product_id`, COALESCE(p.`model`, ''), s.`product_id` IS NOT NULL
FROM `{prefix}product` p
LEFT JOIN (SELECT DISTINCT `product_id` FROM `{prefix}product_option_value` WHERE `subtract` = 1) s ON s.`product_id` = p.`product_id`

-- name: categories
SELECT DISTINCT `category_id`, `name` FROM `{prefix}category_description`

-- name: category
-- Products of categories and of those below them.
SELECT DISTINCT m.`product_id`
FROM `{prefix}category_path` h
JOIN `{prefix}product_to_category` m ON m.`category_id` = h.`category_id`
WHERE h.`path_id` IN ({ids})

-- Products, option rows and specials are read again, with FOR UPDATE behind them, before something is written.

-- name: products
SELECT `product_id`, CAST(COALESCE(`price`, 0) AS CHAR), COALESCE(`tax_class_id`, 0), CAST(COALESCE(`weight`, 0) AS CHAR), COALESCE(`weight_class_id`, 0),
  CAST(COALESCE(`length`, 0) AS CHAR), CAST(COALESCE(`width`, 0) AS CHAR), CAST(COALESCE(`height`, 0) AS CHAR), COALESCE(`length_class_id`, 0)
FROM `{prefix}product` FORCE INDEX (PRIMARY) WHERE `product_id` IN ({ids}) ORDER BY `product_id`

-- name: options
-- By product, for which there is no index: of many at once.
SELECT `product_id`, `product_option_value_id`, CAST(COALESCE(`price`, 0) AS CHAR), COALESCE(`price_prefix`, ''),
  CAST(COALESCE(`weight`, 0) AS CHAR), COALESCE(`weight_prefix`, '')
FROM `{prefix}product_option_value` WHERE `product_id` IN ({ids})

-- name: option rows
-- The same by their own keys.
SELECT `product_id`, `product_option_value_id`, CAST(COALESCE(`price`, 0) AS CHAR), COALESCE(`price_prefix`, ''),
  CAST(COALESCE(`weight`, 0) AS CHAR), COALESCE(`weight_prefix`, '')
FROM `{prefix}product_option_value` FORCE INDEX (PRIMARY) WHERE `product_option_value_id` IN ({ids}) ORDER BY `product_option_value_id`

-- name: specials
SELECT `product_id`, `product_discount_id`, CAST(COALESCE(`price`, 0) AS CHAR), COALESCE(`type`, ''),
  COALESCE(CAST(`date_start` AS CHAR), 'never'), COALESCE(CAST(`date_end` AS CHAR), 'never')
FROM `{prefix}product_discount`
WHERE `special` = 1 AND `quantity` = 1 AND `customer_group_id` = ? AND `product_id` IN ({ids})
ORDER BY `product_id`, `priority`, `price`, `product_discount_id`

-- name: marker
-- First of each transaction: the shop's reader knows by it that Spola wrote.
INSERT INTO `spola_marker` (`name`, `number`, `note`) VALUES ('align', 1, ?) ON DUPLICATE KEY UPDATE `number` = `number` + 1, `note` = ?

-- name: price
UPDATE `{prefix}product` SET `price` = ? WHERE `product_id` = ?

-- name: weight
UPDATE `{prefix}product` SET `weight` = ? WHERE `product_id` = ?

-- name: width
UPDATE `{prefix}product` SET `width` = ? WHERE `product_id` = ?

-- name: height
UPDATE `{prefix}product` SET `height` = ? WHERE `product_id` = ?

-- name: depth
-- What a warehouse calls the depth of a parcel is this shop's length.
UPDATE `{prefix}product` SET `length` = ? WHERE `product_id` = ?

-- name: option price
UPDATE `{prefix}product_option_value` SET `price` = ?, `price_prefix` = ? WHERE `product_option_value_id` = ?

-- name: option weight
UPDATE `{prefix}product_option_value` SET `weight` = ?, `weight_prefix` = ? WHERE `product_option_value_id` = ?

-- name: special off
DELETE FROM `{prefix}product_discount` WHERE `product_discount_id` = ?

-- name: special on
-- Product, default customer group, net price, first day, day after the last.
INSERT INTO `{prefix}product_discount` (`product_id`, `customer_group_id`, `quantity`, `priority`, `price`, `type`, `special`, `date_start`, `date_end`)
VALUES (?, ?, 1, 1, ?, 'F', 1, ?, ?)

-- name: rights
-- What the user needs for which statement, on which tables. What belongs to a field is needed where that field is aligned.
SELECT '' AS `field`, 'settings' AS `statement`, 'SELECT' AS `right`, '{prefix}setting' AS `tables`
UNION ALL SELECT '', 'decimals', 'SELECT', '{prefix}currency'
UNION ALL SELECT '', 'taxes', 'SELECT', '{prefix}tax_rule {prefix}tax_rate {prefix}tax_rate_to_customer_group {prefix}zone_to_geo_zone'
UNION ALL SELECT '', 'weight units', 'SELECT', '{prefix}weight_class {prefix}weight_class_description'
UNION ALL SELECT '', 'length units', 'SELECT', '{prefix}length_class {prefix}length_class_description'
UNION ALL SELECT '', 'products', 'SELECT', '{prefix}product'
UNION ALL SELECT '', 'options', 'SELECT', '{prefix}product_option_value'
UNION ALL SELECT '', 'specials', 'SELECT', '{prefix}product_discount'
UNION ALL SELECT '', 'categories', 'SELECT', '{prefix}category_description'
UNION ALL SELECT '', 'category', 'SELECT', '{prefix}category_path {prefix}product_to_category'
UNION ALL SELECT '', 'marker', 'SELECT, INSERT, UPDATE', 'spola_marker'
UNION ALL SELECT 'price', 'price', 'UPDATE (`price`)', '{prefix}product'
UNION ALL SELECT 'price', 'option price', 'UPDATE (`price`, `price_prefix`)', '{prefix}product_option_value'
UNION ALL SELECT 'special', 'products FOR UPDATE', 'UPDATE (`price`)', '{prefix}product'
UNION ALL SELECT 'special', 'special off', 'DELETE', '{prefix}product_discount'
UNION ALL SELECT 'special', 'special on', 'INSERT', '{prefix}product_discount'
UNION ALL SELECT 'weight', 'weight', 'UPDATE (`weight`)', '{prefix}product'
UNION ALL SELECT 'weight', 'option weight', 'UPDATE (`weight`, `weight_prefix`)', '{prefix}product_option_value'
UNION ALL SELECT 'width', 'width', 'UPDATE (`width`)', '{prefix}product'
UNION ALL SELECT 'height', 'height', 'UPDATE (`height`)', '{prefix}product'
UNION ALL SELECT 'depth', 'depth', 'UPDATE (`length`)', '{prefix}product'
