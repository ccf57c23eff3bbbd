-- access.forget_key_events
-- Deletes what was done to keys a long time ago.
-- $1 before
delete from key_events where occurred_at < $1
