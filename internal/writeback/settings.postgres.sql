-- What the write-back must know of a shop's settings: $1 the shop. No row before its first snapshot is complete.
select s.timezone, s.consuming,
    (select coalesce(jsonb_object_agg(x.state, x.name), '{}') from spola.shop_state x where x.shop = s.shop)
from spola.shop_settings s where s.shop = $1
