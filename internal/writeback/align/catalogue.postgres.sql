-- The ERP's catalogue, of the contract. A shop's last day ends where the next begins.
select article_id, sku, vat_rate::text, gross, special, coalesce(special_from::text, ''),
    coalesce((special_to + 1)::text, ''), weight_kg::text, width_cm::text, height_cm::text, depth_cm::text, changed_at
from erp.catalogue
