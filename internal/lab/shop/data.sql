-- A small Italian shop, made up for tests: settings, taxes, places and coupons. Products and
-- accounts come from catalogue.go. {prefix} is replaced by the shop's table prefix.

INSERT INTO `{prefix}language` (language_id, name, code, locale, extension, sort_order, status) VALUES
  (1, 'Italiano', 'it-it', 'it_IT.UTF-8,it-it,italian', '', 1, 1),
  (2, 'Deutsch',  'de-de', 'de_DE.UTF-8,de-de,german',  '', 2, 1);

-- The factor is from the shop's default currency, the euro.
INSERT INTO `{prefix}currency` (currency_id, title, code, symbol_left, symbol_right, decimal_place, value, status, date_modified) VALUES
  (1, 'Sterlina', 'GBP', '£', '',  2, 0.87310000, 1, '2026-11-02 06:00:00'),
  (3, 'Euro',     'EUR', '',  '€', 2, 1.00000000, 1, '2026-11-02 06:00:00');

INSERT INTO `{prefix}country` (country_id, iso_code_2, iso_code_3, address_format_id, postcode_required, status) VALUES
  (81,  'DE', 'DEU', 1, 1, 1),
  (105, 'IT', 'ITA', 1, 0, 1);
INSERT INTO `{prefix}country_description` (country_id, language_id, name) VALUES
  (81,  1, 'Germania'), (81,  2, 'Deutschland'),
  (105, 1, 'Italia'),   (105, 2, 'Italien');
INSERT INTO `{prefix}zone` (zone_id, country_id, code, status) VALUES
  (1255, 81,  'BE', 1),
  (3898, 105, 'MI', 1),
  (3924, 105, 'RM', 1);
INSERT INTO `{prefix}zone_description` (zone_id, language_id, name) VALUES
  (1255, 1, 'Berlino'), (1255, 2, 'Berlin'),
  (3898, 1, 'Milano'),  (3898, 2, 'Mailand'),
  (3924, 1, 'Roma'),    (3924, 2, 'Rom');
INSERT INTO `{prefix}address_format` (address_format_id, name, address_format) VALUES
  (1, 'Predefinito', '{firstname} {lastname}\r\n{company}\r\n{address_1}\r\n{address_2}\r\n{postcode} {city} {zone}\r\n{country}');

INSERT INTO `{prefix}geo_zone` (geo_zone_id, name, description) VALUES
  (5, 'Italia',   'IVA italiana'),
  (6, 'Germania', 'Vendita a distanza, regime OSS');
INSERT INTO `{prefix}zone_to_geo_zone` (zone_to_geo_zone_id, geo_zone_id, country_id, zone_id) VALUES
  (1, 5, 105, 0),
  (2, 6, 81,  0);
INSERT INTO `{prefix}tax_class` (tax_class_id, title, description) VALUES
  (9,  'Ordinaria', 'Merce, spedizione, spese'),
  (10, 'Ridotta',   'Alimentari e piante'),
  (11, 'Minima',    'Libri');
INSERT INTO `{prefix}tax_rate` (tax_rate_id, geo_zone_id, name, rate, type) VALUES
  (101, 5, 'IVA 22%',   22.0000, 'P'),
  (102, 5, 'IVA 10%',   10.0000, 'P'),
  (103, 5, 'IVA 4%',     4.0000, 'P'),
  (104, 6, 'MwSt. 19%', 19.0000, 'P'),
  (105, 6, 'MwSt. 7%',   7.0000, 'P');
INSERT INTO `{prefix}tax_rule` (tax_rule_id, tax_class_id, tax_rate_id, based, priority) VALUES
  (1, 9,  101, 'shipping', 1), (2, 9,  104, 'shipping', 1),
  (3, 10, 102, 'shipping', 1), (4, 10, 105, 'shipping', 1),
  (5, 11, 103, 'shipping', 1), (6, 11, 105, 'shipping', 1);
-- Companies elsewhere in the EU (group 2) have no rate: reverse charge.
INSERT INTO `{prefix}tax_rate_to_customer_group` (tax_rate_id, customer_group_id) VALUES
  (101, 1), (102, 1), (103, 1), (104, 1), (105, 1);

INSERT INTO `{prefix}customer_group` (customer_group_id, approval, sort_order) VALUES (1, 0, 1), (2, 0, 2);
INSERT INTO `{prefix}customer_group_description` (customer_group_id, language_id, name, description) VALUES
  (1, 1, 'Predefinito', ''),           (1, 2, 'Standard', ''),
  (2, 1, 'Aziende UE (rev. charge)', ''), (2, 2, 'EU-Unternehmen', '');
INSERT INTO `{prefix}custom_field` (custom_field_id, type, value, validation, location, status, sort_order) VALUES
  (1, 'text', '', '', 'account', 1, 1),
  (2, 'text', '', '', 'account', 1, 2),
  (3, 'text', '', '', 'account', 1, 3),
  (4, 'text', '', '', 'account', 1, 4);
INSERT INTO `{prefix}custom_field_description` (custom_field_id, language_id, name) VALUES
  (1, 1, 'Partita IVA'),    (1, 2, 'USt-IdNr.'),
  (2, 1, 'Codice fiscale'), (2, 2, 'Steuernummer'),
  (3, 1, 'PEC'),            (3, 2, 'PEC'),
  (4, 1, 'Codice SDI'),     (4, 2, 'SDI-Code');
INSERT INTO `{prefix}custom_field_customer_group` (custom_field_id, customer_group_id, required) VALUES
  (1, 1, 0), (2, 1, 0), (3, 1, 0), (4, 1, 0), (1, 2, 1);

INSERT INTO `{prefix}order_status` (order_status_id, language_id, name) VALUES
  (1,  1, 'In attesa'),        (1,  2, 'Offen'),
  (2,  1, 'In lavorazione'),   (2,  2, 'In Bearbeitung'),
  (3,  1, 'Spedito'),          (3,  2, 'Versandt'),
  (5,  1, 'Completo'),         (5,  2, 'Abgeschlossen'),
  (7,  1, 'Annullato'),        (7,  2, 'Storniert'),
  (8,  1, 'Negato'),           (8,  2, 'Abgelehnt'),
  (9,  1, 'Storno annullato'), (9,  2, 'Storno aufgehoben'),
  (10, 1, 'Fallito'),          (10, 2, 'Fehlgeschlagen'),
  (11, 1, 'Rimborsato'),       (11, 2, 'Erstattet'),
  (12, 1, 'Ripristinato'),     (12, 2, 'Wiederhergestellt'),
  (13, 1, 'Riaddebito'),       (13, 2, 'Rückbuchung'),
  (14, 1, 'Scaduto'),          (14, 2, 'Abgelaufen'),
  (15, 1, 'Elaborato'),        (15, 2, 'Verarbeitet'),
  (16, 1, 'Nullo'),            (16, 2, 'Ungültig');
INSERT INTO `{prefix}stock_status` (stock_status_id, language_id, name) VALUES
  (5, 1, 'Esaurito'), (5, 2, 'Ausverkauft'), (7, 1, 'Disponibile'), (7, 2, 'Lieferbar');
INSERT INTO `{prefix}weight_class` (weight_class_id, value) VALUES (1, 1.00000000), (2, 1000.00000000);
INSERT INTO `{prefix}weight_class_description` (weight_class_id, language_id, title, unit) VALUES
  (1, 1, 'Chilogrammo', 'kg'), (2, 1, 'Grammo', 'g'), (1, 2, 'Kilogramm', 'kg'), (2, 2, 'Gramm', 'g');
INSERT INTO `{prefix}length_class` (length_class_id, value) VALUES (1, 1.00000000), (2, 10.00000000);
INSERT INTO `{prefix}length_class_description` (length_class_id, language_id, title, unit) VALUES
  (1, 1, 'Centimetro', 'cm'), (2, 1, 'Millimetro', 'mm'), (1, 2, 'Zentimeter', 'cm'), (2, 2, 'Millimeter', 'mm');
INSERT INTO `{prefix}category` (category_id, image, parent_id, sort_order, status) VALUES (60, '', 0, 1, 1), (61, '', 60, 1, 1), (62, '', 0, 2, 1);
INSERT INTO `{prefix}category_description` (category_id, language_id, name, description, meta_title, meta_description, meta_keyword) VALUES
  (60, 1, 'Casa &amp; cucina', '', '', '', ''), (60, 2, 'Haus', '', '', '', ''), (61, 1, 'Pentole', '', '', '', ''), (61, 2, 'Töpfe', '', '', '', ''),
  (62, 1, 'Libri', '', '', '', ''), (62, 2, 'Bücher', '', '', '', '');
INSERT INTO `{prefix}category_path` (category_id, path_id, level) VALUES (60, 60, 0), (61, 60, 0), (61, 61, 1), (62, 62, 0);
INSERT INTO `{prefix}identifier` (name, code, validation, status) VALUES
  ('Stock Keeping Unit', 'SKU', '', 1), ('European Article Number', 'EAN', '', 1);
INSERT INTO `{prefix}statistics` (statistics_id, code, value) VALUES
  (1, 'order_sale', 0), (2, 'order_processing', 0), (3, 'order_complete', 0), (4, 'order_other', 0);

-- ULTIMO can be used once: the second shopper who had it in the overview is denied.
INSERT INTO `{prefix}coupon` (coupon_id, name, code, type, discount, logged, shipping, total, date_start, date_end, uses_total, uses_customer, status, date_added) VALUES
  (1, 'Coupon estate', 'ESTATE10', 'P', 10.0000, 0, 0, 0.0000, '2026-01-01', '2036-12-31', 0, 0, 1, '2026-01-01 00:00:00'),
  (2, 'Meno cinque',   'MENO5',    'F',  5.0000, 0, 0, 0.0000, '2026-01-01', '2036-12-31', 0, 0, 1, '2026-01-01 00:00:00'),
  (4, 'Spedizione',    'SPEDIZIONE', 'F', 0.0000, 0, 1, 0.0000, '2026-01-01', '2036-12-31', 0, 0, 1, '2026-01-01 00:00:00'),
  (3, 'Ultimo buono',  'ULTIMO',   'P', 10.0000, 0, 0, 0.0000, '2026-01-01', '2036-12-31', 1, 0, 1, '2026-01-01 00:00:00');

INSERT INTO `{prefix}setting` (store_id, code, `key`, value, serialized) VALUES
  (0, 'config', 'config_name', 'Bottega di prova', 0),
  (0, 'config', 'config_url', 'https://shop.example/', 0),
  (0, 'config', 'config_email', 'shop@shop.example', 0),
  (0, 'config', 'config_country_id', '105', 0),
  (0, 'config', 'config_zone_id', '3924', 0),
  (0, 'config', 'config_timezone', 'Europe/Rome', 0),
  (0, 'config', 'config_language_catalog', 'it-it', 0),
  (0, 'config', 'config_currency', 'EUR', 0),
  (0, 'config', 'config_currency_auto', '0', 0),
  (0, 'config', 'config_length_class_id', '1', 0),
  (0, 'config', 'config_weight_class_id', '1', 0),
  (0, 'config', 'config_tax', '1', 0),
  (0, 'config', 'config_tax_default', 'shipping', 0),
  (0, 'config', 'config_tax_customer', 'shipping', 0),
  (0, 'config', 'config_customer_group_id', '1', 0),
  (0, 'config', 'config_customer_group_display', '["1","2"]', 1),
  (0, 'config', 'config_invoice_prefix', 'INV-2026-00', 0),
  (0, 'config', 'config_checkout_guest', '1', 0),
  (0, 'config', 'config_checkout_payment_address', '1', 0),
  (0, 'config', 'config_checkout_shipping_address', '1', 0),
  (0, 'config', 'config_order_status_id', '1', 0),
  (0, 'config', 'config_processing_status', '["5","1","2","12","3"]', 1),
  (0, 'config', 'config_complete_status', '["5","3"]', 1),
  (0, 'config', 'config_void_status_id', '16', 0),
  (0, 'config', 'config_fraud_status_id', '8', 0),
  (0, 'config', 'config_stock_checkout', '0', 0),
  (0, 'payment_cod', 'payment_cod_total', '0.01', 0),
  (0, 'payment_cod', 'payment_cod_order_status_id', '1', 0),
  (0, 'payment_cod', 'payment_cod_geo_zone_id', '0', 0),
  (0, 'payment_cod', 'payment_cod_status', '1', 0),
  (0, 'payment_bank_transfer', 'payment_bank_transfer_order_status_id', '1', 0),
  (0, 'payment_bank_transfer', 'payment_bank_transfer_status', '1', 0),
  (0, 'shipping_flat', 'shipping_flat_cost', '5.00', 0),
  (0, 'shipping_flat', 'shipping_flat_tax_class_id', '9', 0),
  (0, 'shipping_flat', 'shipping_flat_geo_zone_id', '0', 0),
  (0, 'shipping_flat', 'shipping_flat_status', '1', 0),
  (0, 'total_sub_total', 'total_sub_total_sort_order', '1', 0),
  (0, 'total_payment_fee', 'total_payment_fee_sort_order', '2', 0),
  (0, 'total_payment_fee', 'total_payment_fee_amount', '2.0500', 0),
  (0, 'total_payment_fee', 'total_payment_fee_tax_class_id', '9', 0),
  (0, 'total_shipping', 'total_shipping_sort_order', '3', 0),
  (0, 'total_coupon', 'total_coupon_sort_order', '4', 0),
  (0, 'total_tax', 'total_tax_sort_order', '5', 0),
  (0, 'total_credit', 'total_credit_sort_order', '7', 0),
  (0, 'total_total', 'total_total_sort_order', '9', 0);
