-- events.delete_type
-- Deletes an event type.
-- $1 team_id  $2 category  $3 name
delete from event_types where team_id = $1 and category = $2 and name = $3 returning 1
