-- coupons.count_views
-- How many views of coupons there were in each bucket, from 1 on: of one coupon, or in sessions of taps of some tags, each of at most
-- 30 days before, and made so of a tap.
-- $1 team_id  $2 where the buckets begin, ascending  $3 first bound  $4 last bound  $5 coupon_id as text; null: any
-- $6 tag_ids; null: any session
select width_bucket(occurred_at, $2::timestamptz[]) as bucket, count(*) as views
from events
where
    team_id = $1 and occurred_at >= $3 and occurred_at < $4
    and category = 'coupon' and name = 'viewed' and deleted_at is null
    and ($5::text is null or coalesce(data ->> 'coupon_id', data ->> 'couponId') = $5)
    and ($6::integer[] is null or exists (
        select from sessions
        where
            sessions.team_id = $1 and sessions.session_id = events.session_id
            and sessions.created_at between occurred_at - interval '30 days' and occurred_at + interval '1 hour'
            and exists (
                select from taps
                where
                    taps.team_id = $1 and taps.tap_id = sessions.tap_id and taps.tag_id = any ($6)
                    and tapped_at
                        between sessions.created_at - interval '30 days' and sessions.created_at + interval '1 hour'
                    -- The same bounds for all, by which partitions are left out.
                    and tapped_at >= $3::timestamptz - interval '60 days'
                    and tapped_at < $4::timestamptz + interval '2 hours'
                -- Looked up for one view after another, whatever the planner knows of the tables.
                offset 0
            )
        offset 0
    ))
group by 1
