-- events.delete_event
-- Deletes what is in an event; its id stays taken. Runs after events.lock_event.
-- $1 team_id  $2 event_id  $3 deleted_at
update events set data = '{}', bytes = 2, deleted_at = $3, version = version + 1 where team_id = $1 and event_id = $2
