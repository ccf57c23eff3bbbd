-- events.count_events
-- How many events of each category happened in each bucket, from 1 on: of the busiest categories by name, of all
-- others together. What begins before the first bucket is of that.
-- $1 team_id  $2 from this quarter on  $3 before this one  $4 categories to name  $5 where the buckets begin
with busiest as (
    select category
    from event_quarters
    where team_id = $1 and quarter >= $2 and quarter < $3
    group by category
    order by sum(events) desc, category
    limit $4
)
select
    busiest.category,
    greatest(width_bucket(quarter, $5::timestamptz[]), 1) as bucket,
    sum(events)::bigint as events
from event_quarters
left join busiest on busiest.category = event_quarters.category
where team_id = $1 and quarter >= $2 and quarter < $3 and events <> 0
group by busiest.category, bucket
