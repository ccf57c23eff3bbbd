-- events.count_events
-- How many events of each category happened in each quarter of an hour.
-- $1 team_id  $2 from this quarter on  $3 before this one
select category, quarter, events
from event_quarters
where team_id = $1 and quarter >= $2 and quarter < $3 and events <> 0
