-- The statements of a genuine shop, each its own transaction, in the order of its files.
-- {prefix} is replaced by the shop's table prefix; a line "-- name:" begins a statement.

-- name: session
REPLACE INTO `{prefix}session` SET `session_id` = ?, `data` = ?, `expire` = DATE_ADD(NOW(), INTERVAL 1 DAY)
-- name: session optimize
OPTIMIZE TABLE `{prefix}session`
-- name: cart add
INSERT INTO `{prefix}cart` SET `store_id` = '0', `customer_id` = ?, `session_id` = ?, `product_id` = ?, `option` = ?, `subscription_plan_id` = '0', `quantity` = ?, `override` = '[]', `price` = '0', `date_added` = NOW()
-- name: cart clear
DELETE FROM `{prefix}cart` WHERE `customer_id` = ? AND `session_id` = ?

-- name: upload
INSERT INTO `{prefix}upload` SET `name` = ?, `filename` = ?, `code` = ?, `date_added` = NOW()
-- name: login forget
DELETE FROM `{prefix}customer_login` WHERE LOWER(`email`) = ?
-- name: customer
INSERT INTO `{prefix}customer` SET `customer_group_id` = ?, `store_id` = '0', `language_id` = ?, `firstname` = ?, `lastname` = ?, `email` = ?, `telephone` = ?, `password` = ?, `custom_field` = ?, `newsletter` = '0', `ip` = ?, `status` = '1', `safe` = '0', `commenter` = '0', `token` = '', `code` = '', `date_added` = NOW()
-- name: address
INSERT INTO `{prefix}address` SET `customer_id` = ?, `firstname` = ?, `lastname` = ?, `company` = ?, `address_1` = ?, `address_2` = ?, `city` = ?, `postcode` = ?, `country_id` = ?, `zone_id` = ?, `custom_field` = '[]', `default` = '1'
-- name: address others
UPDATE `{prefix}address` SET `default` = '0' WHERE `address_id` != ? AND `customer_id` = ?
-- name: customer seen
UPDATE `{prefix}customer` SET `language_id` = ?, `ip` = ? WHERE `customer_id` = ?
-- name: customer ip
INSERT INTO `{prefix}customer_ip` SET `customer_id` = ?, `store_id` = '0', `ip` = ?, `country` = '', `date_added` = NOW()
-- name: customer credit
INSERT INTO `{prefix}customer_transaction` SET `customer_id` = ?, `order_id` = ?, `description` = ?, `amount` = ?, `date_added` = NOW()

-- name: order
INSERT INTO `{prefix}order` SET `subscription_id` = '0', `invoice_prefix` = 'INV-2026-00', `store_id` = '0', `store_name` = 'Bottega di prova', `store_url` = 'https://shop.example/', {order}, `date_added` = NOW(), `date_modified` = NOW()
-- name: order again
UPDATE `{prefix}order` SET `subscription_id` = '0', `invoice_prefix` = 'INV-2026-00', `store_id` = '0', `store_name` = 'Bottega di prova', `store_url` = 'https://shop.example/', {order}, `date_modified` = NOW() WHERE `order_id` = ?
-- name: order columns
`customer_id` = ?, `customer_group_id` = ?, `firstname` = ?, `lastname` = ?, `email` = ?, `telephone` = ?, `custom_field` = ?,
 `payment_address_id` = ?, `payment_firstname` = ?, `payment_lastname` = ?, `payment_company` = ?, `payment_address_1` = ?, `payment_address_2` = ?, `payment_city` = ?, `payment_postcode` = ?, `payment_country` = ?, `payment_country_id` = ?, `payment_zone` = ?, `payment_zone_id` = ?, `payment_address_format` = ?, `payment_custom_field` = ?, `payment_method` = ?,
 `shipping_address_id` = ?, `shipping_firstname` = ?, `shipping_lastname` = ?, `shipping_company` = ?, `shipping_address_1` = ?, `shipping_address_2` = ?, `shipping_city` = ?, `shipping_postcode` = ?, `shipping_country` = ?, `shipping_country_id` = ?, `shipping_zone` = ?, `shipping_zone_id` = ?, `shipping_address_format` = ?, `shipping_custom_field` = ?, `shipping_method` = ?,
 `comment` = ?, `total` = ?, `affiliate_id` = '0', `commission` = '0', `marketing_id` = '0', `tracking` = '', `language_id` = ?, `language_code` = ?, `currency_id` = ?, `currency_code` = ?, `currency_value` = ?, `ip` = ?, `forwarded_ip` = '', `user_agent` = ?, `accept_language` = ?
-- name: order product
INSERT INTO `{prefix}order_product` SET `order_id` = ?, `product_id` = ?, `master_id` = '0', `name` = ?, `model` = ?, `quantity` = ?, `price` = ?, `total` = ?, `tax` = ?, `reward` = '0'
-- name: order option
INSERT INTO `{prefix}order_option` SET `order_id` = ?, `order_product_id` = ?, `product_option_id` = ?, `product_option_value_id` = ?, `name` = ?, `value` = ?, `type` = ?
-- name: order total
INSERT INTO `{prefix}order_total` SET `order_id` = ?, `extension` = ?, `code` = ?, `title` = ?, `value` = ?, `sort_order` = ?
-- name: order comment
UPDATE `{prefix}order` SET `comment` = ? WHERE `order_id` = ?
-- name: products delete
DELETE FROM `{prefix}order_product` WHERE `order_id` = ?
-- name: options delete
DELETE FROM `{prefix}order_option` WHERE `order_id` = ?
-- name: subscriptions delete
DELETE FROM `{prefix}order_subscription` WHERE `order_id` = ?
-- name: totals delete
DELETE FROM `{prefix}order_total` WHERE `order_id` = ?
-- name: histories delete
DELETE FROM `{prefix}order_history` WHERE `order_id` = ?
-- name: order delete
DELETE FROM `{prefix}order` WHERE `order_id` = ?

-- name: statistics
UPDATE `{prefix}statistics` SET `value` = (`value` + ?) WHERE `code` = ?
-- name: coupon history
INSERT INTO `{prefix}coupon_history` SET `coupon_id` = ?, `order_id` = ?, `customer_id` = ?, `amount` = ?, `date_added` = NOW()
-- name: coupon history delete
DELETE FROM `{prefix}coupon_history` WHERE `order_id` = ?
-- name: credit delete
DELETE FROM `{prefix}customer_transaction` WHERE `order_id` = ?
-- name: product subtract
UPDATE `{prefix}product` SET `quantity` = (`quantity` - ?) WHERE `product_id` = ? AND `subtract` = '1'
-- name: option subtract
UPDATE `{prefix}product_option_value` SET `quantity` = (`quantity` - ?) WHERE `product_option_value_id` = ? AND `subtract` = '1'
-- name: product restock
UPDATE `{prefix}product` SET `quantity` = (`quantity` + ?) WHERE `product_id` = ? AND `subtract` = '1'
-- name: option restock
UPDATE `{prefix}product_option_value` SET `quantity` = (`quantity` + ?) WHERE `product_option_value_id` = ? AND `subtract` = '1'
-- name: status
UPDATE `{prefix}order` SET `order_status_id` = ? WHERE `order_id` = ?
-- name: history
INSERT INTO `{prefix}order_history` SET `order_id` = ?, `order_status_id` = ?, `notify` = ?, `comment` = ?, `date_added` = NOW()

-- name: setting delete
DELETE FROM `{prefix}setting` WHERE `store_id` = '0' AND `code` = ?
-- name: setting
INSERT INTO `{prefix}setting` SET `store_id` = '0', `code` = ?, `key` = ?, `value` = ?, `serialized` = ?
-- name: tax rules delete
DELETE FROM `{prefix}tax_rule` WHERE `tax_class_id` = ?
-- name: tax rule
INSERT INTO `{prefix}tax_rule` SET `tax_class_id` = ?, `tax_rate_id` = ?, `based` = ?, `priority` = ?

-- name: api history
INSERT INTO `{prefix}api_history` SET `api_id` = ?, `call` = ?, `ip` = ?, `date_added` = NOW()
-- name: coupon add
INSERT INTO `{prefix}coupon` SET `name` = ?, `code` = ?, `discount` = '10', `type` = 'P', `total` = '0', `logged` = '0', `shipping` = '0', `date_start` = '2026-01-01', `date_end` = '2036-12-31', `uses_total` = '1', `uses_customer` = '0', `status` = '1', `date_added` = NOW()

-- name: product save
UPDATE `{prefix}product` SET `model` = ?, `location` = ?, `variant` = ?, `override` = ?, `quantity` = ?, `minimum` = ?, `subtract` = ?, `stock_status_id` = ?, `image` = ?, `date_available` = ?, `manufacturer_id` = ?, `shipping` = ?, `price` = ?, `points` = ?,
 `weight` = ?, `weight_class_id` = ?, `length` = ?, `width` = ?, `height` = ?, `length_class_id` = ?, `status` = ?, `tax_class_id` = ?, `sort_order` = ?, `date_modified` = NOW() WHERE `product_id` = ?
-- name: descriptions delete
DELETE FROM `{prefix}product_description` WHERE `product_id` = ?
-- name: description
INSERT INTO `{prefix}product_description` SET `product_id` = ?, `language_id` = ?, `name` = ?, `description` = ?, `tag` = ?, `meta_title` = ?, `meta_description` = ?, `meta_keyword` = ?
-- name: codes delete
DELETE FROM `{prefix}product_code` WHERE `product_id` = ?
-- name: code
INSERT INTO `{prefix}product_code` SET `product_id` = ?, `code` = ?, `value` = ?
-- name: categories delete
DELETE FROM `{prefix}product_to_category` WHERE `product_id` = ?
-- name: stores delete
DELETE FROM `{prefix}product_to_store` WHERE `product_id` = ?
-- name: product options delete
DELETE FROM `{prefix}product_option` WHERE `product_id` = ?
-- name: product option values delete
DELETE FROM `{prefix}product_option_value` WHERE `product_id` = ?
-- name: product option
INSERT INTO `{prefix}product_option` SET `product_option_id` = ?, `product_id` = ?, `option_id` = ?, `value` = ?, `required` = ?
-- name: product option value
INSERT INTO `{prefix}product_option_value` SET `product_option_value_id` = ?, `product_option_id` = ?, `product_id` = ?, `option_id` = ?, `option_value_id` = ?, `quantity` = ?, `subtract` = ?, `price` = ?, `price_prefix` = ?, `points` = ?, `points_prefix` = ?, `weight` = ?, `weight_prefix` = ?
-- name: discounts delete
DELETE FROM `{prefix}product_discount` WHERE `product_id` = ?
-- name: images delete
DELETE FROM `{prefix}product_image` WHERE `product_id` = ?
-- name: rewards delete
DELETE FROM `{prefix}product_reward` WHERE `product_id` = ?
-- name: addresses delete
DELETE FROM `{prefix}seo_url` WHERE `key` = 'product_id' AND `value` = ?

-- name: read order
SELECT `order_status_id`, `customer_id`, `total` FROM `{prefix}order` WHERE `order_id` = ?
-- name: read products
SELECT `order_product_id`, `product_id`, `quantity` FROM `{prefix}order_product` WHERE `order_id` = ? ORDER BY `order_product_id`
-- name: read pieces
SELECT LEAST(p.`quantity`, IF(? = 0, p.`quantity`, COALESCE(v.`quantity`, 0))) FROM `{prefix}product` p LEFT JOIN `{prefix}product_option_value` v ON v.`product_option_value_id` = ? WHERE p.`product_id` = ?
-- name: read options
SELECT `order_product_id`, `product_option_value_id` FROM `{prefix}order_option` WHERE `order_id` = ? ORDER BY `order_option_id`
-- name: read totals
SELECT `code`, `title`, `value` FROM `{prefix}order_total` WHERE `order_id` = ? ORDER BY `sort_order`
-- name: read coupon
SELECT c.`coupon_id`, c.`uses_total`, (SELECT COUNT(*) FROM `{prefix}coupon_history` h WHERE h.`coupon_id` = c.`coupon_id`) FROM `{prefix}coupon` c WHERE c.`code` = ?
-- name: read settings
SELECT `code`, `key`, `value`, `serialized` FROM `{prefix}setting` WHERE `store_id` = '0' AND `code` = ? ORDER BY `setting_id`
-- name: read tax rules
SELECT `tax_class_id`, `tax_rate_id`, `based`, `priority` FROM `{prefix}tax_rule` WHERE `tax_class_id` = ? ORDER BY `tax_rule_id`
-- name: read product
SELECT `model`, `location`, `variant`, `override`, `quantity`, `minimum`, `subtract`, `stock_status_id`, `image`, `date_available`, `manufacturer_id`, `shipping`, `price`, `points`,
 `weight`, `weight_class_id`, `length`, `width`, `height`, `length_class_id`, `status`, `tax_class_id`, `sort_order`, `product_id` FROM `{prefix}product` WHERE `product_id` = ?
-- name: read descriptions
SELECT `product_id`, `language_id`, `name`, `description`, `tag`, `meta_title`, `meta_description`, `meta_keyword` FROM `{prefix}product_description` WHERE `product_id` = ? ORDER BY `language_id`
-- name: read codes
SELECT `product_id`, `code`, `value` FROM `{prefix}product_code` WHERE `product_id` = ? ORDER BY `product_code_id`
-- name: read product options
SELECT `product_option_id`, `product_id`, `option_id`, `value`, `required` FROM `{prefix}product_option` WHERE `product_id` = ? ORDER BY `product_option_id`
-- name: read product option values
SELECT `product_option_value_id`, `product_option_id`, `product_id`, `option_id`, `option_value_id`, `quantity`, `subtract`, `price`, `price_prefix`, `points`, `points_prefix`, `weight`, `weight_prefix` FROM `{prefix}product_option_value` WHERE `product_id` = ? ORDER BY `product_option_value_id`
