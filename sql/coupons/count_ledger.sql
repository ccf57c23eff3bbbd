-- coupons.count_ledger
-- How many redemptions that were not given back there were in each bucket, from 1 on: between bounds that quarters of an hour cannot tell apart.
-- $1 team_id  $2 where the buckets begin, ascending  $3 first bound  $4 last bound  $5 coupon_ids; null: any
-- $6 tag_ids; null: any, and none  $7 split by coupon  $8 split by tag
select
    width_bucket(redeemed_at, $2::timestamptz[]) as bucket,
    case when $7::boolean then coupon_id end as coupon_id,
    case when $8::boolean then tag_id end as tag_id,
    count(*) as redemptions
from redemptions
where
    team_id = $1 and redeemed_at >= $3 and redeemed_at < $4
    and released_at is null
    and ($5::uuid[] is null or coupon_id = any ($5))
    and ($6::integer[] is null or tag_id = any ($6))
group by 1, 2, 3
