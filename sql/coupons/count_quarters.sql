-- coupons.count_quarters
-- Counts more redemptions by quarter of an hour.
-- $1 team_id  $2 quarters  $3 coupon_ids  $4 tag_ids, none of the three twice  $5 how many more
insert into redemption_quarters as counted (team_id, quarter, coupon_id, tag_id, redemptions)
select $1, quarter, coupon_id, tag_id, redemptions
from unnest($2::timestamptz[], $3::uuid[], $4::integer[], $5::bigint[])
    as change (quarter, coupon_id, tag_id, redemptions)
on conflict (team_id, quarter, coupon_id, tag_id)
do update set redemptions = counted.redemptions + excluded.redemptions
