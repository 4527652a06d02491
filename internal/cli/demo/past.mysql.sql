-- Makes a past of orders that were all placed just now. {prefix} is replaced by the shop's table prefix; ? first and last
-- order, and how many there are. Three months long, until yesterday; each twentieth was cancelled, the newest tenth is still
-- open, a part of it waiting for its bank transfer; all else is done. A line "-- name:" begins a statement.

-- name: orders
UPDATE `{prefix}order` SET
    `date_added` = NOW() - INTERVAL 1 DAY - INTERVAL FLOOR((? - `order_id`) * 7776000 / ?) SECOND,
    `date_modified` = `date_added`,
    `order_status_id` = CASE WHEN MOD(`order_id`, 20) = 7 THEN 7 WHEN `order_id` <= ? - ? / 10 THEN 5 WHEN MOD(`order_id`, 4) = 1 THEN 1 ELSE 2 END,
    `payment_method` = CASE WHEN `order_id` > ? - ? / 10 AND MOD(`order_id`, 4) = 1 THEN REPLACE(`payment_method`, '"cod', '"bank_transfer') ELSE `payment_method` END
WHERE `order_id` BETWEEN ? AND ?

-- name: placed
UPDATE `{prefix}order_history` h JOIN `{prefix}order` o ON o.`order_id` = h.`order_id` SET h.`date_added` = o.`date_added` WHERE o.`order_id` BETWEEN ? AND ?

-- name: became
INSERT INTO `{prefix}order_history` (`order_id`, `order_status_id`, `notify`, `comment`, `date_added`)
SELECT `order_id`, `order_status_id`, 0, '', `date_added` + INTERVAL 20 HOUR FROM `{prefix}order`
WHERE `order_id` BETWEEN ? AND ? AND `order_status_id` <> 1

-- name: known
SELECT `order_id`, `email`, `firstname`, `lastname`, ROUND(`total` * 100), UNIX_TIMESTAMP(`date_added`), `order_status_id` = 5
FROM `{prefix}order` WHERE `order_id` BETWEEN ? AND ? AND `order_status_id` <> 7 AND MOD(`order_id`, 2) = 0 ORDER BY `order_id`

-- name: lines
SELECT p.`order_id`, p.`model`, p.`quantity`, ROUND((p.`price` + p.`tax`) * p.`quantity` * 100)
FROM `{prefix}order_product` p JOIN `{prefix}order` o ON o.`order_id` = p.`order_id`
WHERE p.`order_id` BETWEEN ? AND ? AND o.`order_status_id` <> 7 AND MOD(p.`order_id`, 2) = 0 ORDER BY p.`order_id`, p.`order_product_id`
