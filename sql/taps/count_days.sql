-- taps.count_days
-- The roll-up of some UTC days: whole, and for each cut of a day what came before it. Days without a
-- cut are there once, without one.
-- $1 team_id  $2 first day  $3 last day  $4 tag_ids ({0}: the whole team)
-- $5 days of the cuts  $6 cuts: quarters of these days, 1 to 95  $7 classes
select
    tag_id,
    kind,
    day,
    total,
    cut,
    coalesce(running[width_bucket(cut - 1, quarters)], 0) as before
from tap_days left join unnest($5::date[], $6::integer[]) as cuts (cut_day, cut) on cut_day = day
where team_id = $1 and day between $2 and $3 and tag_id = any ($4::integer[])
    and class = any ($7::text[])
