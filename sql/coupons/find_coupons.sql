-- coupons.find_coupons
-- What those of these coupons that the team has are called.
-- $1 team_id  $2 coupon_ids
select coupon_id, couponcode, title from coupons where team_id = $1 and coupon_id = any ($2::uuid[])
