-- coupons.count_redeemed
-- Counts what was redeemed and given back of coupons. Runs after these are locked.
-- $1 team_id  $2 coupon_ids, each once  $3 how many more are redeemed  $4 how many more are given back
update coupons set redeemed = coupons.redeemed + change.redeemed, released = coupons.released + change.released
from unnest($2::uuid[], $3::bigint[], $4::bigint[]) as change (coupon_id, redeemed, released)
where team_id = $1 and coupons.coupon_id = change.coupon_id
returning 1
