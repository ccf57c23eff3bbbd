-- coupons.delete_coupon
-- Deletes a coupon that was never redeemed. Runs after coupons.lock_coupon.
-- $1 team_id  $2 coupon_id
delete from coupons where team_id = $1 and coupon_id = $2
