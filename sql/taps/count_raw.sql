-- taps.count_raw
-- Taps between bounds that quarters of an hour cannot tell apart: minutes, and the ends of a range
-- that begins or ends within a quarter. Slot n is from bound n to before bound n + 1.
-- $1 team_id  $2 bounds, ascending  $3 first bound  $4 last bound  $5 tag_ids; null: all
-- $6 split by tag  $7 split by kind  $8 classes
select
    width_bucket(tapped_at, $2::timestamptz[]) as slot,
    case when $6::boolean then tag_id else 0 end as tag,
    case when $7::boolean then kind else 'nfc' end as kind,
    sum(count)::bigint as count
from taps
where
    team_id = $1 and tapped_at >= $3 and tapped_at < $4
    and ($5::integer[] is null or tag_id = any ($5::integer[]))
    and class = any ($8::text[])
group by 1, 2, 3
