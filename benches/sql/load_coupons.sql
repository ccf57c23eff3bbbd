-- A thousand coupons of team 1 without limit, by number.
insert into coupons (
    team_id, coupon_id, created_at, updated_at, couponcode, code_key, category, title, description, merchant,
    store_city, store_phone, store_state, store_street, store_zip, tag_ids, disabled, metadata
)
select 1, lpad(to_hex(n), 32, '0')::uuid, now(), now(), 'c-' || n, 'c-' || n, '', 'Coupon ' || n, '', '', '', '', '', '', '', '{}', false, '{}'
from generate_series(1, 1000) as n;
analyze coupons;
