-- taps.rank_tags
-- The total of each tag over whole quarters of an hour: all of the days between the first and the
-- last, and of these two the quarters that belong to the range.
-- $1 team_id  $2 first day  $3 last day  $4 first quarter of the first day  $5 last quarter of the
-- last day (0 to 95)  $6 tag_ids; null: all  $7 classes
select
    tag_id,
    sum(
        case
            when day > $2 and day < $3 then total
            else
                coalesce(running[width_bucket(
                    case when day = $3 then $5::integer else 95 end, quarters
                )], 0)
                - coalesce(running[width_bucket(
                    case when day = $2 then $4::integer else 0 end - 1, quarters
                )], 0)
        end
    )::bigint as count
from tap_days
where
    team_id = $1 and day between $2 and $3 and tag_id > 0
    and ($6::integer[] is null or tag_id = any ($6::integer[]))
    and class = any ($7::text[])
group by tag_id
