-- The roll-up of some taps that are there, as taps.write_taps makes it.
-- $1 first instant  $2 instant after the last, both midnight in UTC
with quarters as (
    select
        team_id,
        coalesce(tag_id, 0) as tag_id,
        kind,
        floor(date_part('epoch', tapped_at) / 900)::bigint as quarter,
        sum(count)::bigint as count
    from taps
    where tapped_at >= $1 and tapped_at < $2
    group by grouping sets (
        (team_id, tag_id, kind, floor(date_part('epoch', tapped_at) / 900)),
        (team_id, kind, floor(date_part('epoch', tapped_at) / 900))
    )
), running as (
    select
        *,
        sum(count) over (partition by team_id, tag_id, kind, quarter / 96 order by quarter)::bigint as running
    from quarters
)
insert into tap_days (team_id, tag_id, day, kind, total, quarters, running)
select
    team_id,
    tag_id,
    date '1970-01-01' + (quarter / 96)::integer as day,
    kind,
    sum(count)::bigint,
    array_agg((quarter % 96)::integer order by quarter),
    array_agg(running order by quarter)
from running
group by team_id, tag_id, day, kind
order by day, team_id, tag_id
