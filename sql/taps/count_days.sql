-- taps.count_days
-- The roll-up of some UTC days. Quarters come only for the days that the fold has to split, as they
-- are most of the bytes.
-- $1 team_id  $2 first day  $3 last day  $4 tag_ids ({0}: the whole team)  $5 days to split; null: all
select
    tag_id,
    kind,
    day,
    total,
    case when $5::date[] is null or day = any ($5::date[]) then quarters end as quarters,
    case when $5::date[] is null or day = any ($5::date[]) then counts end as counts
from tap_days
where team_id = $1 and day between $2 and $3 and tag_id = any ($4::integer[])
