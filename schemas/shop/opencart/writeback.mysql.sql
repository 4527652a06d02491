-- What Spola writes into an OpenCart 4 shop, and what it looks at and locks for that. {prefix} is the
-- shop's table prefix; {ids} a list of keys, {cases} what is added for each of them: "WHEN 31 THEN -2".
-- A line "-- name:" begins a statement.
--
-- Stock stands in product.quantity, and for an option's value in product_option_value.quantity. The
-- shop subtracts an order line with an option from both, each only where `subtract` is 1, product first.
-- So does Spola: an option's pieces are added to its product too, which sums them up. Nothing else
-- depends on the quantity in this platform.
--
-- A status is order.order_status_id with a row of order_history. The customer sees a history row's
-- comment only where notify is 1; no mail goes out for a row that SQL has written. There is no place
-- for a tracking number but this comment (order.tracking is a marketing code). order.date_modified
-- stays, as with the shop's own changes of a status.

-- name: stock columns
-- The kinds of stock rows in the order in which they are locked, and what their columns can hold.
SELECT CASE table_name WHEN '{prefix}product' THEN 'product' ELSE 'option' END, column_type
FROM information_schema.columns
WHERE table_schema = DATABASE() AND column_name = 'quantity' AND table_name IN ('{prefix}product', '{prefix}product_option_value')
ORDER BY CASE table_name WHEN '{prefix}product' THEN 1 ELSE 2 END

-- name: stock engines
-- Tables that can't take part in a transaction; there must be none.
SELECT table_name, engine FROM information_schema.tables
WHERE table_schema = DATABASE() AND engine <> 'InnoDB'
  AND table_name IN ('{prefix}product', '{prefix}product_option_value', 'spola_marker')

-- name: sum rows option
-- The row that sums an option's pieces up.
SELECT `product_option_value_id`, CONCAT('product:', `product_id`) FROM `{prefix}product_option_value` WHERE `product_option_value_id` IN ({ids})

-- name: lock product
SELECT `product_id`, `quantity`, `subtract` = 1 FROM `{prefix}product` FORCE INDEX (PRIMARY) WHERE `product_id` IN ({ids}) ORDER BY `product_id` FOR UPDATE

-- name: lock option
SELECT `product_option_value_id`, `quantity`, `subtract` = 1 FROM `{prefix}product_option_value` FORCE INDEX (PRIMARY)
WHERE `product_option_value_id` IN ({ids}) ORDER BY `product_option_value_id` FOR UPDATE

-- name: add product
UPDATE `{prefix}product` FORCE INDEX (PRIMARY) SET `quantity` = `quantity` + CASE `product_id` {cases} END WHERE `product_id` IN ({ids})

-- name: add option
UPDATE `{prefix}product_option_value` FORCE INDEX (PRIMARY) SET `quantity` = `quantity` + CASE `product_option_value_id` {cases} END
WHERE `product_option_value_id` IN ({ids})

-- name: order engines
SELECT table_name, engine FROM information_schema.tables
WHERE table_schema = DATABASE() AND engine <> 'InnoDB' AND table_name IN ('{prefix}order', '{prefix}order_history', 'spola_marker')

-- name: show orders
-- State and language of orders, as they are.
SELECT `order_id`, CAST(`order_status_id` AS CHAR), COALESCE(`language_code`, '') FROM `{prefix}order` WHERE `order_id` IN ({ids})

-- name: lock order
SELECT CAST(`order_status_id` AS CHAR), COALESCE(`language_code`, '') FROM `{prefix}order` WHERE `order_id` IN ({ids}) FOR UPDATE

-- name: order status
UPDATE `{prefix}order` SET `order_status_id` = ? WHERE `order_id` = ?

-- name: order history
-- Order, state, whether the customer sees the comment, comment (as HTML), the shop's wall time.
INSERT INTO `{prefix}order_history` (`order_id`, `order_status_id`, `notify`, `comment`, `date_added`) VALUES (?, ?, ?, ?, ?)

-- name: order history of none
-- For trying the right.
INSERT INTO `{prefix}order_history` (`order_id`, `order_status_id`, `notify`, `comment`, `date_added`) SELECT 0, 0, 0, '', NOW() FROM `spola_marker` WHERE 1 = 0
