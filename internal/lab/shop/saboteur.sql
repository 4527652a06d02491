-- name: product
SELECT `quantity` FROM `{prefix}product` WHERE `product_id` = ? FOR UPDATE
-- name: product by hand
UPDATE `{prefix}product` SET `quantity` = ? WHERE `product_id` = ?
-- name: option
SELECT `quantity` FROM `{prefix}product_option_value` WHERE `product_option_value_id` = ? FOR UPDATE
-- name: option by hand
UPDATE `{prefix}product_option_value` SET `quantity` = ? WHERE `product_option_value_id` = ?
