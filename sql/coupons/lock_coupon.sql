-- coupons.lock_coupon
-- One coupon, which nobody else changes or redeems until this transaction ends.
-- $1 team_id  $2 coupon_id
select
    coupon_id, created_at, updated_at, archived_at, version, couponcode, category, title, description, merchant,
    store_lat, store_long, store_city, store_phone, store_state, store_street, store_zip,
    published_at, expire_at, max_redemptions, max_per_subject, disabled, metadata::text as metadata, redeemed, released,
    array(
        select uid from tags
        where tags.team_id = coupons.team_id and tag_id = any (tag_ids) order by uid collate "C"
    ) as tag_uids
from coupons
where team_id = $1 and coupon_id = $2
for update
