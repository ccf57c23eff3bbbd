-- coupons.read_coupons
-- These coupons, in no order.
-- $1 team_id  $2 coupon_ids
select
    coupon_id, created_at, updated_at, archived_at, version, couponcode, category, title, description, merchant,
    store_lat, store_long, store_city, store_phone, store_state, store_street, store_zip,
    published_at, expire_at, max_redemptions, max_per_subject, disabled, metadata::text as metadata, redeemed, released,
    array(
        select uid from tags
        where tags.team_id = coupons.team_id and tag_id = any (tag_ids) order by uid collate "C"
    ) as tag_uids
from coupons
where team_id = $1 and coupon_id = any ($2::uuid[])
