-- events.stream_state
-- How many events were ever stored.
-- $1 team_id
select coalesce((select revision from event_heads where team_id = $1), 0) as revision
