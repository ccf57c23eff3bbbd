-- coupons.count_codes
-- How many codes of coupons that are not archived are of a pattern.
-- $1 team_id  $2 pattern of code_keys
select count(*) as codes from coupons where team_id = $1 and archived_at is null and code_key like $2
