-- events.find_events
-- Those of these events that are there, and what they were when they were sent. Looked up one by one: asked for all
-- at once, PostgreSQL reads all events of the team, as long as it takes there to be few.
-- $1 team_id  $2 event_ids
select found.event_id, found.content_hash, found.deleted_at is not null as deleted
from unnest($2::uuid[]) as asked (event_id)
cross join lateral (
    select events.event_id, events.content_hash, events.deleted_at
    from events
    where team_id = $1 and events.event_id = asked.event_id
    limit 1
) as found
