-- events.link_replays
-- Notes what event errors have become that were sent again.
-- $1 team_id  $2 error_ids  $3 events that they have become; null: none  $4 errors that they have become; null: none
update event_errors set became_event_id = became.event_id, became_error_id = became.error_id
from unnest($2::uuid[], $3::uuid[], $4::uuid[]) as became (replayed, event_id, error_id)
where event_errors.team_id = $1 and event_errors.error_id = became.replayed
