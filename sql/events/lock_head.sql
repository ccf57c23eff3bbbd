-- events.lock_head
-- Makes this transaction the only one that stores events of the team until it ends, and says how many there were.
-- $1 team_id
insert into event_heads as head (team_id) values ($1)
on conflict (team_id) do update set revision = head.revision
returning revision
