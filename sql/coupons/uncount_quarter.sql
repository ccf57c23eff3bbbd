-- coupons.uncount_quarter
-- Counts one redemption less in a quarter of an hour. Runs after its coupon is locked.
-- $1 team_id  $2 quarter  $3 coupon_id  $4 tag_id
update redemption_quarters set redemptions = redemptions - 1
where team_id = $1 and quarter = $2 and coupon_id = $3 and tag_id = $4
returning 1
