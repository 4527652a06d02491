-- The benchmark's order: seven rows in one transaction. {order} is "order columns" of checkout.sql,
-- {prefix} is replaced by the shop's table prefix.
BEGIN;
INSERT INTO `{prefix}order` SET `order_id` = ?, `order_status_id` = '1', `subscription_id` = '0', `invoice_prefix` = 'INV-2026-00', `store_id` = '0', `store_name` = 'Bottega di prova', `store_url` = 'https://shop.example/', {order}, `date_added` = NOW(), `date_modified` = NOW();
INSERT INTO `{prefix}order_product` (`order_id`, `product_id`, `master_id`, `name`, `model`, `quantity`, `price`, `total`, `tax`, `reward`) VALUES
(?, ?, 0, ?, ?, ?, ?, ?, ?, 0), (?, ?, 0, ?, ?, ?, ?, ?, ?, 0);
INSERT INTO `{prefix}order_total` (`order_id`, `extension`, `code`, `title`, `value`, `sort_order`) VALUES
(?, 'opencart', ?, ?, ?, ?), (?, 'opencart', ?, ?, ?, ?), (?, 'opencart', ?, ?, ?, ?);
INSERT INTO `{prefix}order_history` (`order_id`, `order_status_id`, `notify`, `comment`, `date_added`) VALUES (?, 1, 0, '', NOW());
COMMIT;
