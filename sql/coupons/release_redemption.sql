-- coupons.release_redemption
-- Gives a redemption back, unless it was before. Runs after its coupon is locked.
-- $1 team_id  $2 redemption_id  $3 released_at
update redemptions set released_at = $3
where team_id = $1 and redemption_id = $2 and released_at is null
returning 1
