-- What the shop itself says of its stock and of what its customers were told.

-- name: shown
SELECT CONCAT('product:', product_id), '', quantity FROM oc_product
UNION ALL
SELECT CONCAT('option:', product_option_value_id), '', quantity FROM oc_product_option_value

-- name: sold
-- Orders in a state for which the shop has subtracted their pieces: of a product with sizes they are the size's. Those that are complete are told.
-- The state is that of the last row of the history: where the shop died before it wrote one, the step is nobody's, and neither is an order without any.
SELECT COALESCE(CONCAT('option:', v.product_option_value_id), CONCAT('product:', l.product_id)), CONCAT(o.order_id, IF(o.state = 5, ' done', '')), l.quantity
FROM (SELECT n.order_id, h.order_status_id AS state
    FROM (SELECT order_id, MAX(order_history_id) AS last FROM oc_order_history GROUP BY order_id) m
    JOIN oc_order_history h ON h.order_history_id = m.last
    JOIN oc_order n ON n.order_id = m.order_id) o
JOIN (SELECT DISTINCT j.state FROM oc_setting s, JSON_TABLE(s.value, '$[*]' COLUMNS (state INT PATH '$')) j
    WHERE s.store_id = 0 AND s.`key` IN ('config_processing_status', 'config_complete_status')) c ON c.state = o.state
JOIN oc_order_product l ON l.order_id = o.order_id
LEFT JOIN (SELECT DISTINCT w.order_product_id, w.product_option_value_id
    FROM oc_order_option w
    JOIN oc_product_option_value p ON p.product_option_value_id = w.product_option_value_id AND p.subtract = 1) v ON v.order_product_id = l.order_product_id

-- name: told
SELECT (SELECT COUNT(*) FROM oc_order WHERE order_status_id = 3),
    (SELECT COUNT(*) FROM oc_order_history WHERE notify = 1 AND comment REGEXP '(BRT|GLS|SDA|DHL).*[0-9]{10}')
