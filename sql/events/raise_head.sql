-- events.raise_head
-- Notes how many events there are. Runs after events.lock_head.
-- $1 team_id  $2 revision
update event_heads set revision = $2 where team_id = $1
