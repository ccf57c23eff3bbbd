-- events.count_quarters
-- Counts events by category and quarter of an hour: more of them, or fewer.
-- $1 team_id  $2 quarters  $3 categories, no pair twice  $4 how many more
insert into event_quarters as counted (team_id, quarter, category, events)
select $1, quarter, category, events
from unnest($2::timestamptz[], $3::text[], $4::bigint[]) as change (quarter, category, events)
-- Two that change the same rows must do so in the same order.
order by quarter, category
on conflict (team_id, quarter, category) do update set events = counted.events + excluded.events
