-- coupons.count_ledger
-- How many redemptions that were not given back there were in each bucket, from 1 on, between bounds that quarters of an hour cannot tell apart: of the
-- groups that have most by rank, of all others together without one.
-- $1 team_id  $2 where the buckets begin, ascending  $3 first bound  $4 last bound  $5 coupon_ids; null: any
-- $6 tag_ids; null: any, and none  $7 split by coupon  $8 split by tag  $9 groups at most
with found as (
    select
        width_bucket(redeemed_at, $2::timestamptz[]) as bucket,
        case when $7::boolean then coupon_id else '00000000-0000-0000-0000-000000000000'::uuid end as coupon_id,
        case when $8::boolean then tag_id else 0 end as tag_id,
        sum(1) as redemptions
    from redemptions
    where
        team_id = $1 and redeemed_at >= $3 and redeemed_at < $4
        and released_at is null
        and ($5::uuid[] is null or coupon_id = any ($5))
        and ($6::integer[] is null or tag_id = any ($6))
    group by 1, 2, 3
), ranked as (
    select coupon_id, tag_id, row_number() over (order by sum(redemptions) desc, coupon_id, tag_id) as rank
    from found
    group by coupon_id, tag_id
    order by rank
    limit $9
)
select found.bucket, rank, ranked.coupon_id, ranked.tag_id, sum(redemptions)::bigint as redemptions
from found left join ranked on ranked.coupon_id = found.coupon_id and ranked.tag_id = found.tag_id
where redemptions <> 0
group by found.bucket, rank, ranked.coupon_id, ranked.tag_id
