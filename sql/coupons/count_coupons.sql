-- coupons.count_coupons
-- How many coupons the team has, archived ones included.
-- $1 team_id
select count(*) as coupons from coupons where team_id = $1
