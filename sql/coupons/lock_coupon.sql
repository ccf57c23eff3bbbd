-- coupons.lock_coupon
-- Keeps everybody else from changing and redeeming a coupon until this transaction ends. It is read only then: what
-- is read with it of other tables would be of before the wait.
-- $1 team_id  $2 coupon_id
select 1 from coupons where team_id = $1 and coupon_id = $2 for update
