-- events.get_type
-- One event type.
-- $1 team_id  $2 category  $3 name
select category, name, schema::text, created_at, updated_at, version
from event_types
where team_id = $1 and category = $2 and name = $3
