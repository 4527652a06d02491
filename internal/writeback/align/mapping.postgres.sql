-- Which article of the ERP a product of the shop is, or one in certain options.
select product::bigint, variant, article from spola.article where shop = $1 and product ~ '^\d{1,18}$'
