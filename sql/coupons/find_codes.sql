-- coupons.find_codes
-- Which of these codes are those of coupons of the team that are not archived.
-- $1 team_id  $2 code_keys
select code_key, coupon_id from coupons where team_id = $1 and code_key = any ($2::text[]) and archived_at is null
