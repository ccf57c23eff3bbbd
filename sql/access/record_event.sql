-- access.record_event
-- Keeps what was done to a key.
-- $1 team_id  $2 event_id  $3 occurred_at  $4 key_id  $5 actor_key_id  $6 action  $7 changes
insert into key_events (team_id, event_id, occurred_at, key_id, actor_key_id, action, changes)
values ($1, $2, $3, $4, $5, $6, $7::text::jsonb)
