-- events.find_events
-- Those of these events that are there, and what they were when they were sent.
-- $1 team_id  $2 event_ids
select event_id, content_hash, deleted_at is not null as deleted
from events
where team_id = $1 and event_id = any ($2::uuid[])
