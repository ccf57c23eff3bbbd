-- coupons.archive_coupon
-- Archives a coupon. Runs after coupons.lock_coupon.
-- $1 team_id  $2 coupon_id  $3 archived_at
update coupons set version = version + 1, updated_at = $3, archived_at = $3
where team_id = $1 and coupon_id = $2
