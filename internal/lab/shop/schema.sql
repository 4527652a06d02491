-- The tables of an OpenCart 4.1 shop that the test shop writes. Names, types, defaults and keys
-- are those of the platform, so that readers and views meet what they meet in a merchant's shop.
-- {prefix} is replaced by the shop's table prefix.

-- Settings and what amounts, addresses and texts refer to.

CREATE TABLE `{prefix}setting` (
  `setting_id` int NOT NULL AUTO_INCREMENT,
  `store_id`   int DEFAULT 0,
  `code`       varchar(128),
  `key`        varchar(128),
  `value`      mediumtext,
  `serialized` tinyint(1) DEFAULT 0,
  PRIMARY KEY (`setting_id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

CREATE TABLE `{prefix}store` (
  `store_id` int NOT NULL AUTO_INCREMENT,
  `name`     varchar(64),
  `url`      varchar(255),
  PRIMARY KEY (`store_id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

CREATE TABLE `{prefix}language` (
  `language_id` int NOT NULL AUTO_INCREMENT,
  `name`        varchar(32),
  `code`        varchar(5),
  `locale`      varchar(255),
  `extension`   varchar(255),
  `sort_order`  int(3) DEFAULT 0,
  `status`      tinyint(1) DEFAULT 0,
  PRIMARY KEY (`language_id`),
  KEY `name` (`name`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

CREATE TABLE `{prefix}currency` (
  `currency_id`   int NOT NULL AUTO_INCREMENT,
  `title`         varchar(32),
  `code`          varchar(3),
  `symbol_left`   varchar(12),
  `symbol_right`  varchar(12),
  `decimal_place` int(1) DEFAULT 2,
  `value`         double(15,8),
  `status`        tinyint(1) DEFAULT 0,
  `date_modified` datetime,
  PRIMARY KEY (`currency_id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

CREATE TABLE `{prefix}country` (
  `country_id`        int NOT NULL AUTO_INCREMENT,
  `iso_code_2`        varchar(2),
  `iso_code_3`        varchar(3),
  `address_format_id` int DEFAULT 0,
  `postcode_required` tinyint(1),
  `status`            tinyint(1) DEFAULT 1,
  PRIMARY KEY (`country_id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

CREATE TABLE `{prefix}country_description` (
  `country_id`  int NOT NULL,
  `language_id` int NOT NULL,
  `name`        varchar(255),
  PRIMARY KEY (`country_id`, `language_id`),
  KEY `name` (`name`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

CREATE TABLE `{prefix}zone` (
  `zone_id`    int NOT NULL AUTO_INCREMENT,
  `country_id` int,
  `code`       varchar(32),
  `status`     tinyint(1) DEFAULT 1,
  PRIMARY KEY (`zone_id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

CREATE TABLE `{prefix}zone_description` (
  `zone_id`     int NOT NULL,
  `language_id` int NOT NULL,
  `name`        varchar(255),
  PRIMARY KEY (`zone_id`, `language_id`),
  KEY `name` (`name`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

CREATE TABLE `{prefix}geo_zone` (
  `geo_zone_id` int NOT NULL AUTO_INCREMENT,
  `name`        varchar(32),
  `description` varchar(255),
  PRIMARY KEY (`geo_zone_id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

CREATE TABLE `{prefix}zone_to_geo_zone` (
  `zone_to_geo_zone_id` int NOT NULL AUTO_INCREMENT,
  `geo_zone_id`         int,
  `country_id`          int,
  `zone_id`             int DEFAULT 0,
  PRIMARY KEY (`zone_to_geo_zone_id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

CREATE TABLE `{prefix}address_format` (
  `address_format_id` int NOT NULL AUTO_INCREMENT,
  `name`              varchar(128),
  `address_format`    text,
  PRIMARY KEY (`address_format_id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

CREATE TABLE `{prefix}tax_class` (
  `tax_class_id` int NOT NULL AUTO_INCREMENT,
  `title`        varchar(32),
  `description`  varchar(255),
  PRIMARY KEY (`tax_class_id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

CREATE TABLE `{prefix}tax_rate` (
  `tax_rate_id` int NOT NULL AUTO_INCREMENT,
  `geo_zone_id` int DEFAULT 0,
  `name`        varchar(32),
  `rate`        decimal(15,4) DEFAULT 0.0000,
  `type`        char(1),
  PRIMARY KEY (`tax_rate_id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

CREATE TABLE `{prefix}tax_rate_to_customer_group` (
  `tax_rate_id`       int NOT NULL,
  `customer_group_id` int NOT NULL,
  PRIMARY KEY (`tax_rate_id`, `customer_group_id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

CREATE TABLE `{prefix}tax_rule` (
  `tax_rule_id`  int NOT NULL AUTO_INCREMENT,
  `tax_class_id` int,
  `tax_rate_id`  int,
  `based`        varchar(10),
  `priority`     int(5) DEFAULT 1,
  PRIMARY KEY (`tax_rule_id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

CREATE TABLE `{prefix}customer_group` (
  `customer_group_id` int NOT NULL AUTO_INCREMENT,
  `approval`          int(1) DEFAULT 0,
  `sort_order`        int(3) DEFAULT 0,
  PRIMARY KEY (`customer_group_id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

CREATE TABLE `{prefix}customer_group_description` (
  `customer_group_id` int NOT NULL,
  `language_id`       int NOT NULL,
  `name`              varchar(32),
  `description`       text,
  PRIMARY KEY (`customer_group_id`, `language_id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

CREATE TABLE `{prefix}custom_field` (
  `custom_field_id` int NOT NULL AUTO_INCREMENT,
  `type`            varchar(32),
  `value`           text,
  `validation`      varchar(255),
  `location`        varchar(10),
  `status`          tinyint(1) DEFAULT 0,
  `sort_order`      int(3) DEFAULT 0,
  PRIMARY KEY (`custom_field_id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

CREATE TABLE `{prefix}custom_field_description` (
  `custom_field_id` int NOT NULL,
  `language_id`     int NOT NULL,
  `name`            varchar(128),
  PRIMARY KEY (`custom_field_id`, `language_id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

CREATE TABLE `{prefix}custom_field_customer_group` (
  `custom_field_id`   int NOT NULL,
  `customer_group_id` int NOT NULL,
  `required`          tinyint(1) DEFAULT 0,
  PRIMARY KEY (`custom_field_id`, `customer_group_id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

CREATE TABLE `{prefix}order_status` (
  `order_status_id` int NOT NULL AUTO_INCREMENT,
  `language_id`     int NOT NULL,
  `name`            varchar(32),
  PRIMARY KEY (`order_status_id`, `language_id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

CREATE TABLE `{prefix}stock_status` (
  `stock_status_id` int NOT NULL AUTO_INCREMENT,
  `language_id`     int NOT NULL,
  `name`            varchar(32),
  PRIMARY KEY (`stock_status_id`, `language_id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

CREATE TABLE `{prefix}weight_class` (
  `weight_class_id` int NOT NULL AUTO_INCREMENT,
  `value`           decimal(15,8) DEFAULT 0.00000000,
  PRIMARY KEY (`weight_class_id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

CREATE TABLE `{prefix}weight_class_description` (
  `weight_class_id` int NOT NULL,
  `language_id`     int NOT NULL,
  `title`           varchar(32),
  `unit`            varchar(4),
  PRIMARY KEY (`weight_class_id`, `language_id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

CREATE TABLE `{prefix}length_class` (
  `length_class_id` int NOT NULL AUTO_INCREMENT,
  `value`           decimal(15,8),
  PRIMARY KEY (`length_class_id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

CREATE TABLE `{prefix}length_class_description` (
  `length_class_id` int NOT NULL,
  `language_id`     int NOT NULL,
  `title`           varchar(32),
  `unit`            varchar(4),
  PRIMARY KEY (`length_class_id`, `language_id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

CREATE TABLE `{prefix}identifier` (
  `identifier_id` int NOT NULL AUTO_INCREMENT,
  `name`          varchar(64),
  `code`          varchar(48),
  `validation`    varchar(255),
  `status`        tinyint(1) DEFAULT 0,
  PRIMARY KEY (`identifier_id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

CREATE TABLE `{prefix}coupon` (
  `coupon_id`     int NOT NULL AUTO_INCREMENT,
  `name`          varchar(128),
  `code`          varchar(20),
  `type`          char(1),
  `discount`      decimal(15,4),
  `logged`        tinyint(1) DEFAULT 0,
  `shipping`      tinyint(1) DEFAULT 0,
  `total`         decimal(15,4),
  `date_start`    date,
  `date_end`      date,
  `uses_total`    int DEFAULT 0,
  `uses_customer` int DEFAULT 0,
  `status`        tinyint(1) DEFAULT 0,
  `date_added`    datetime,
  PRIMARY KEY (`coupon_id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

CREATE TABLE `{prefix}coupon_product` (
  `coupon_product_id` int NOT NULL AUTO_INCREMENT,
  `coupon_id`         int,
  `product_id`        int,
  PRIMARY KEY (`coupon_product_id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

-- Catalogue and stock.

CREATE TABLE `{prefix}product` (
  `product_id`      int NOT NULL AUTO_INCREMENT,
  `master_id`       int DEFAULT 0,
  `model`           varchar(64),
  `location`        varchar(128),
  `variant`         text,
  `override`        text,
  `quantity`        int(4) DEFAULT 0,
  `stock_status_id` int DEFAULT 0,
  `image`           varchar(255),
  `manufacturer_id` int DEFAULT 0,
  `shipping`        tinyint(1) DEFAULT 1,
  `price`           decimal(15,4) DEFAULT 0.0000,
  `points`          int(8) DEFAULT 0,
  `tax_class_id`    int DEFAULT 0,
  `date_available`  date,
  `weight`          decimal(15,8) DEFAULT 0.00000000,
  `weight_class_id` int DEFAULT 0,
  `length`          decimal(15,8) DEFAULT 0.00000000,
  `width`           decimal(15,8) DEFAULT 0.00000000,
  `height`          decimal(15,8) DEFAULT 0.00000000,
  `length_class_id` int DEFAULT 0,
  `subtract`        tinyint(1) DEFAULT 1,
  `minimum`         int DEFAULT 1,
  `rating`          int(1) DEFAULT 0,
  `sort_order`      int DEFAULT 0,
  `status`          tinyint(1) DEFAULT 0,
  `date_added`      datetime,
  `date_modified`   datetime,
  PRIMARY KEY (`product_id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

CREATE TABLE `{prefix}product_description` (
  `product_id`       int NOT NULL,
  `language_id`      int NOT NULL,
  `name`             varchar(255),
  `description`      mediumtext,
  `tag`              text,
  `meta_title`       varchar(255),
  `meta_description` varchar(255),
  `meta_keyword`     varchar(255),
  PRIMARY KEY (`product_id`, `language_id`),
  KEY `name` (`name`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

CREATE TABLE `{prefix}product_code` (
  `product_code_id` int NOT NULL AUTO_INCREMENT,
  `product_id`      int,
  `code`            varchar(48),
  `value`           varchar(255),
  PRIMARY KEY (`product_code_id`),
  KEY `code` (`code`),
  KEY `product_id` (`product_id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

CREATE TABLE `{prefix}product_discount` (
  `product_discount_id` int NOT NULL AUTO_INCREMENT,
  `product_id`          int,
  `customer_group_id`   int,
  `quantity`            int(4) DEFAULT 0,
  `priority`            int(5) DEFAULT 1,
  `price`               decimal(15,4) DEFAULT 0.0000,
  `type`                char(1) DEFAULT 'P',
  `special`             tinyint(1) DEFAULT 0,
  `date_start`          date,
  `date_end`            date,
  PRIMARY KEY (`product_discount_id`),
  KEY `product_id` (`product_id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

CREATE TABLE `{prefix}product_option` (
  `product_option_id` int NOT NULL AUTO_INCREMENT,
  `product_id`        int,
  `option_id`         int,
  `value`             text,
  `required`          tinyint(1) DEFAULT 0,
  PRIMARY KEY (`product_option_id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

CREATE TABLE `{prefix}product_option_value` (
  `product_option_value_id` int NOT NULL AUTO_INCREMENT,
  `product_option_id`       int,
  `product_id`              int,
  `option_id`               int,
  `option_value_id`         int DEFAULT 0,
  `quantity`                int(3) DEFAULT 0,
  `subtract`                tinyint(1) DEFAULT 0,
  `price`                   decimal(15,4),
  `price_prefix`            varchar(1),
  `points`                  int(8) DEFAULT 0,
  `points_prefix`           varchar(1),
  `weight`                  decimal(15,8),
  `weight_prefix`           varchar(1),
  PRIMARY KEY (`product_option_value_id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

CREATE TABLE `{prefix}option` (
  `option_id`  int NOT NULL AUTO_INCREMENT,
  `type`       varchar(32),
  `validation` varchar(255),
  `sort_order` int(3) DEFAULT 0,
  PRIMARY KEY (`option_id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

CREATE TABLE `{prefix}option_description` (
  `option_id`   int NOT NULL,
  `language_id` int NOT NULL,
  `name`        varchar(128),
  PRIMARY KEY (`option_id`, `language_id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

CREATE TABLE `{prefix}option_value` (
  `option_value_id` int NOT NULL AUTO_INCREMENT,
  `option_id`       int,
  `image`           varchar(255),
  `sort_order`      int(3) DEFAULT 0,
  PRIMARY KEY (`option_value_id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

CREATE TABLE `{prefix}option_value_description` (
  `option_value_id` int NOT NULL,
  `language_id`     int NOT NULL,
  `option_id`       int,
  `name`            varchar(128),
  PRIMARY KEY (`option_value_id`, `language_id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

CREATE TABLE `{prefix}category` (
  `category_id` int NOT NULL AUTO_INCREMENT,
  `image`       varchar(255),
  `parent_id`   int DEFAULT 0,
  `sort_order`  int(3) DEFAULT 0,
  `status`      tinyint(1) DEFAULT 0,
  PRIMARY KEY (`category_id`),
  KEY `parent_id` (`parent_id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

CREATE TABLE `{prefix}category_description` (
  `category_id`      int NOT NULL,
  `language_id`      int NOT NULL,
  `name`             varchar(255),
  `description`      mediumtext,
  `meta_title`       varchar(255),
  `meta_description` varchar(255),
  `meta_keyword`     varchar(255),
  PRIMARY KEY (`category_id`, `language_id`),
  KEY `name` (`name`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

CREATE TABLE `{prefix}category_path` (
  `category_id` int NOT NULL,
  `path_id`     int NOT NULL,
  `level`       int,
  PRIMARY KEY (`category_id`, `path_id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

CREATE TABLE `{prefix}product_to_category` (
  `product_id`  int NOT NULL,
  `category_id` int NOT NULL,
  PRIMARY KEY (`product_id`, `category_id`),
  KEY `category_id` (`category_id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

CREATE TABLE `{prefix}product_to_store` (
  `product_id` int NOT NULL,
  `store_id`   int NOT NULL DEFAULT 0,
  PRIMARY KEY (`product_id`, `store_id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

CREATE TABLE `{prefix}product_image` (
  `product_image_id` int NOT NULL AUTO_INCREMENT,
  `product_id`       int,
  `image`            varchar(255),
  `sort_order`       int(3) DEFAULT 0,
  PRIMARY KEY (`product_image_id`),
  KEY `product_id` (`product_id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

CREATE TABLE `{prefix}product_reward` (
  `product_reward_id` int NOT NULL AUTO_INCREMENT,
  `product_id`        int DEFAULT 0,
  `customer_group_id` int DEFAULT 0,
  `points`            int(8) DEFAULT 0,
  PRIMARY KEY (`product_reward_id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

CREATE TABLE `{prefix}seo_url` (
  `seo_url_id`  int NOT NULL AUTO_INCREMENT,
  `store_id`    int DEFAULT 0,
  `language_id` int,
  `key`         varchar(64),
  `value`       varchar(255),
  `keyword`     varchar(768),
  `sort_order`  int(3) DEFAULT 0,
  PRIMARY KEY (`seo_url_id`),
  KEY `store` (`store_id`),
  KEY `language` (`language_id`),
  KEY `keyword` (`keyword`),
  KEY `query` (`key`, `value`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

-- Customers.

CREATE TABLE `{prefix}customer` (
  `customer_id`       int NOT NULL AUTO_INCREMENT,
  `customer_group_id` int DEFAULT 0,
  `store_id`          int DEFAULT 0,
  `language_id`       int DEFAULT 0,
  `firstname`         varchar(32),
  `lastname`          varchar(32),
  `email`             varchar(96),
  `telephone`         varchar(32),
  `password`          varchar(255),
  `custom_field`      text,
  `newsletter`        tinyint(1) DEFAULT 0,
  `ip`                varchar(40),
  `status`            tinyint(1) DEFAULT 0,
  `safe`              tinyint(1) DEFAULT 0,
  `commenter`         tinyint(1) DEFAULT 0,
  `token`             text,
  `code`              varchar(40),
  `date_added`        datetime,
  PRIMARY KEY (`customer_id`),
  KEY `email` (`email`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

CREATE TABLE `{prefix}address` (
  `address_id`   int NOT NULL AUTO_INCREMENT,
  `customer_id`  int,
  `firstname`    varchar(32),
  `lastname`     varchar(32),
  `company`      varchar(60),
  `address_1`    varchar(128),
  `address_2`    varchar(128),
  `city`         varchar(128),
  `postcode`     varchar(10),
  `country_id`   int DEFAULT 0,
  `zone_id`      int DEFAULT 0,
  `custom_field` text,
  `default`      tinyint(1) DEFAULT 0,
  PRIMARY KEY (`address_id`),
  KEY `customer_id` (`customer_id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

CREATE TABLE `{prefix}customer_transaction` (
  `customer_transaction_id` int NOT NULL AUTO_INCREMENT,
  `customer_id`             int,
  `order_id`                int DEFAULT 0,
  `description`             text,
  `amount`                  decimal(15,4),
  `date_added`              datetime,
  PRIMARY KEY (`customer_transaction_id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

-- Orders.

CREATE TABLE `{prefix}order` (
  `order_id`                int NOT NULL AUTO_INCREMENT,
  `subscription_id`         int DEFAULT 0,
  `invoice_no`              int DEFAULT 0,
  `invoice_prefix`          varchar(26),
  `transaction_id`          varchar(100),
  `store_id`                int DEFAULT 0,
  `store_name`              varchar(64),
  `store_url`               varchar(255),
  `customer_id`             int DEFAULT 0,
  `customer_group_id`       int DEFAULT 0,
  `firstname`               varchar(32),
  `lastname`                varchar(32),
  `email`                   varchar(96),
  `telephone`               varchar(32),
  `custom_field`            text,
  `payment_address_id`      int DEFAULT 0,
  `payment_firstname`       varchar(32),
  `payment_lastname`        varchar(32),
  `payment_company`         varchar(60),
  `payment_address_1`       varchar(128),
  `payment_address_2`       varchar(128),
  `payment_city`            varchar(128),
  `payment_postcode`        varchar(10),
  `payment_country`         varchar(128),
  `payment_country_id`      int DEFAULT 0,
  `payment_zone`            varchar(128),
  `payment_zone_id`         int DEFAULT 0,
  `payment_address_format`  text,
  `payment_custom_field`    text,
  `payment_method`          text,
  `shipping_address_id`     int,
  `shipping_firstname`      varchar(32),
  `shipping_lastname`       varchar(32),
  `shipping_company`        varchar(60),
  `shipping_address_1`      varchar(128),
  `shipping_address_2`      varchar(128),
  `shipping_city`           varchar(128),
  `shipping_postcode`       varchar(10),
  `shipping_country`        varchar(128),
  `shipping_country_id`     int DEFAULT 0,
  `shipping_zone`           varchar(128),
  `shipping_zone_id`        int DEFAULT 0,
  `shipping_address_format` text,
  `shipping_custom_field`   text,
  `shipping_method`         text,
  `comment`                 text,
  `total`                   decimal(15,4) DEFAULT 0.0000,
  `order_status_id`         int DEFAULT 0,
  `affiliate_id`            int DEFAULT 0,
  `commission`              decimal(15,4),
  `marketing_id`            int DEFAULT 0,
  `tracking`                varchar(64),
  `language_id`             int,
  `language_code`           varchar(5),
  `currency_id`             int,
  `currency_code`           varchar(3),
  `currency_value`          decimal(15,8) DEFAULT 1.00000000,
  `ip`                      varchar(40),
  `forwarded_ip`            varchar(40),
  `user_agent`              varchar(255),
  `accept_language`         varchar(255),
  `date_added`              datetime,
  `date_modified`           datetime,
  PRIMARY KEY (`order_id`),
  KEY `email` (`email`),
  KEY `order_status_id` (`order_status_id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

CREATE TABLE `{prefix}order_product` (
  `order_product_id` int NOT NULL AUTO_INCREMENT,
  `order_id`         int,
  `product_id`       int,
  `master_id`        int DEFAULT 0,
  `name`             varchar(255),
  `model`            varchar(64),
  `quantity`         int(4) DEFAULT 1,
  `price`            decimal(15,4) DEFAULT 0.0000,
  `total`            decimal(15,4) DEFAULT 0.0000,
  `tax`              decimal(15,4) DEFAULT 0.0000,
  `reward`           int(8) DEFAULT 0,
  PRIMARY KEY (`order_product_id`),
  KEY `order_id` (`order_id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

CREATE TABLE `{prefix}order_option` (
  `order_option_id`         int NOT NULL AUTO_INCREMENT,
  `order_id`                int,
  `order_product_id`        int,
  `product_option_id`       int,
  `product_option_value_id` int DEFAULT 0,
  `name`                    varchar(255),
  `value`                   text,
  `type`                    varchar(32),
  PRIMARY KEY (`order_option_id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

CREATE TABLE `{prefix}order_subscription` (
  `order_subscription_id` int NOT NULL AUTO_INCREMENT,
  `order_product_id`      int,
  `order_id`              int,
  `product_id`            int,
  `quantity`              int(4) DEFAULT 1,
  `subscription_plan_id`  int,
  `trial_price`           decimal(10,4),
  `trial_tax`             decimal(15,4),
  `trial_frequency`       enum('day','week','semi_month','month','year'),
  `trial_cycle`           smallint(6),
  `trial_duration`        smallint(6),
  `trial_status`          tinyint(1) DEFAULT 0,
  `price`                 decimal(10,4),
  `tax`                   decimal(15,4),
  `frequency`             enum('day','week','semi_month','month','year'),
  `cycle`                 smallint(6) DEFAULT 1,
  `duration`              smallint(6) DEFAULT 0,
  PRIMARY KEY (`order_subscription_id`),
  KEY `order_id` (`order_id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

CREATE TABLE `{prefix}order_total` (
  `order_total_id` int(10) NOT NULL AUTO_INCREMENT,
  `order_id`       int,
  `extension`      varchar(255),
  `code`           varchar(32),
  `title`          varchar(255),
  `value`          decimal(15,4) DEFAULT 0.0000,
  `sort_order`     int(3) DEFAULT 0,
  PRIMARY KEY (`order_total_id`),
  KEY `order_id` (`order_id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

CREATE TABLE `{prefix}order_history` (
  `order_history_id` int NOT NULL AUTO_INCREMENT,
  `order_id`         int,
  `order_status_id`  int DEFAULT 0,
  `notify`           tinyint(1) DEFAULT 0,
  `comment`          text,
  `date_added`       datetime,
  PRIMARY KEY (`order_history_id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

CREATE TABLE `{prefix}coupon_history` (
  `coupon_history_id` int NOT NULL AUTO_INCREMENT,
  `coupon_id`         int,
  `order_id`          int DEFAULT 0,
  `customer_id`       int DEFAULT 0,
  `amount`            decimal(15,4),
  `date_added`        datetime,
  PRIMARY KEY (`coupon_history_id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

-- Noise: written at every request, of no use to anybody but the shop.

CREATE TABLE `{prefix}session` (
  `session_id` varchar(32) NOT NULL,
  `data`       mediumtext,
  `expire`     datetime,
  PRIMARY KEY (`session_id`),
  KEY `expire` (`expire`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

CREATE TABLE `{prefix}cart` (
  `cart_id`              int NOT NULL AUTO_INCREMENT,
  `store_id`             int DEFAULT 0,
  `customer_id`          int DEFAULT 0,
  `session_id`           varchar(32),
  `product_id`           int,
  `subscription_plan_id` int DEFAULT 0,
  `option`               text,
  `quantity`             int(5),
  `override`             text,
  `price`                decimal(15,4),
  `date_added`           datetime,
  PRIMARY KEY (`cart_id`),
  KEY `cart_id` (`customer_id`, `session_id`, `product_id`, `subscription_plan_id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

CREATE TABLE `{prefix}statistics` (
  `statistics_id` int NOT NULL AUTO_INCREMENT,
  `code`          varchar(64),
  `value`         decimal(15,4),
  PRIMARY KEY (`statistics_id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

CREATE TABLE `{prefix}customer_ip` (
  `customer_ip_id` int NOT NULL AUTO_INCREMENT,
  `customer_id`    int,
  `store_id`       int DEFAULT 0,
  `ip`             varchar(40),
  `country`        varchar(2),
  `date_added`     datetime,
  PRIMARY KEY (`customer_ip_id`),
  KEY `ip` (`ip`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

CREATE TABLE `{prefix}customer_login` (
  `customer_login_id` int NOT NULL AUTO_INCREMENT,
  `email`             varchar(96),
  `ip`                varchar(40),
  `total`             int(4) DEFAULT 0,
  `date_added`        datetime,
  `date_modified`     datetime,
  PRIMARY KEY (`customer_login_id`),
  KEY `email` (`email`),
  KEY `ip` (`ip`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

CREATE TABLE `{prefix}customer_online` (
  `ip`          varchar(40) NOT NULL,
  `customer_id` int DEFAULT 0,
  `url`         text,
  `referer`     text,
  `date_added`  datetime,
  PRIMARY KEY (`ip`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

CREATE TABLE `{prefix}api_history` (
  `api_history_id` int NOT NULL AUTO_INCREMENT,
  `api_id`         int,
  `call`           varchar(32),
  `ip`             varchar(40),
  `date_added`     datetime,
  PRIMARY KEY (`api_history_id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

CREATE TABLE `{prefix}upload` (
  `upload_id`  int NOT NULL AUTO_INCREMENT,
  `name`       varchar(255),
  `filename`   varchar(255),
  `code`       varchar(255),
  `date_added` datetime,
  PRIMARY KEY (`upload_id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;
