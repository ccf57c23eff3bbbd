-- taps.count_quarters
-- The roll-up of some UTC days, quarter by quarter, for what splits all of them.
-- $1 team_id  $2 first day  $3 last day  $4 tag_ids ({0}: the whole team)  $5 classes
select tag_id, kind, day, quarters, running
from tap_days
where team_id = $1 and day between $2 and $3 and tag_id = any ($4::integer[])
    and class = any ($5::text[])
