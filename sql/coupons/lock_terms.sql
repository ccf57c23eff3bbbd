-- coupons.lock_terms
-- What redemptions of these coupons are held to. Nobody else changes or redeems them until this transaction ends.
-- Whoever redeems several locks them in one order.
-- $1 team_id  $2 coupon_ids
select
    coupon_id, couponcode, disabled, archived_at, published_at, expire_at, max_redemptions, max_per_subject, redeemed
from coupons
where team_id = $1 and coupon_id = any ($2::uuid[])
order by coupon_id
for no key update
