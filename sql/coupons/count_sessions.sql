-- coupons.count_sessions
-- How many sessions were made in each bucket, from 1 on: of taps of some tags, each of at most 30 days before.
-- $1 team_id  $2 where the buckets begin, ascending  $3 first bound  $4 last bound  $5 tag_ids; null: all sessions
select width_bucket(created_at, $2::timestamptz[]) as bucket, count(*) as sessions
from sessions
where
    team_id = $1 and created_at >= $3 and created_at < $4
    and ($5::integer[] is null or exists (
        select from taps
        where
            taps.team_id = $1 and taps.tap_id = sessions.tap_id and taps.tag_id = any ($5)
            -- The same bounds for all, by which partitions are left out. A clock may be ahead by an hour.
            and tapped_at >= $3::timestamptz - interval '30 days' and tapped_at < $4::timestamptz + interval '1 hour'
            and tapped_at between sessions.created_at - interval '30 days' and sessions.created_at + interval '1 hour'
        -- Looked up for one session after another, whatever the planner knows of the tables.
        offset 0
    ))
group by 1
