-- Writes the orders from first_id to last_id as copies of the orders from template_id on, each in a
-- transaction of its own, without sending and parsing five statements for each of them. {columns} are the columns of "order
-- columns" in checkout.sql but email, {prefix} is replaced by the shop's table prefix.
CREATE PROCEDURE `{prefix}backlog` (first_id int, last_id int, template_id int, templates int)
BEGIN
  DECLARE id int DEFAULT first_id;
  DECLARE source int;
  WHILE id <= last_id DO
    SET source = template_id + id % templates;
    START TRANSACTION;
    INSERT INTO `{prefix}order` (`order_id`, `email`, `order_status_id`, `subscription_id`, `invoice_prefix`, `store_id`, `store_name`, `store_url`, `date_added`, `date_modified`, {columns})
      SELECT id, CONCAT('bench', id, '@mail.example'), 1, 0, `invoice_prefix`, 0, `store_name`, `store_url`, NOW(), NOW(), {columns}
      FROM `{prefix}order` WHERE `order_id` = source;
    INSERT INTO `{prefix}order_product` (`order_id`, `product_id`, `master_id`, `name`, `model`, `quantity`, `price`, `total`, `tax`, `reward`)
      SELECT id, `product_id`, 0, `name`, `model`, `quantity`, `price`, `total`, `tax`, 0
      FROM `{prefix}order_product` WHERE `order_id` = source ORDER BY `order_product_id`;
    INSERT INTO `{prefix}order_total` (`order_id`, `extension`, `code`, `title`, `value`, `sort_order`)
      SELECT id, `extension`, `code`, `title`, `value`, `sort_order`
      FROM `{prefix}order_total` WHERE `order_id` = source ORDER BY `order_total_id`;
    INSERT INTO `{prefix}order_history` (`order_id`, `order_status_id`, `notify`, `comment`, `date_added`)
      VALUES (id, 1, 0, '', NOW());
    COMMIT;
    SET id = id + 1;
  END WHILE;
END
