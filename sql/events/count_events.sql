-- events.count_events
-- How many events of each category happened in each quarter of an hour: of the busiest categories by name, of all
-- others together.
-- $1 team_id  $2 from this quarter on  $3 before this one  $4 categories to name
with busiest as (
    select category
    from event_quarters
    where team_id = $1 and quarter >= $2 and quarter < $3
    group by category
    order by sum(events) desc, category
    limit $4
)
select busiest.category, quarter, sum(events)::bigint as events
from event_quarters
left join busiest on busiest.category = event_quarters.category
where team_id = $1 and quarter >= $2 and quarter < $3 and events <> 0
group by busiest.category, quarter
