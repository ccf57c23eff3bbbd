-- events.change_event
-- Changes an event. Runs after events.lock_event.
-- $1 team_id  $2 event_id  $3 session_id  $4 category  $5 name  $6 data  $7 occurred_at  $8 updated_at
update events
set
    session_id = $3, category = $4, name = $5, bytes = octet_length($6::text), data = $6::text::json, occurred_at = $7, updated_at = $8,
    version = version + 1
where team_id = $1 and event_id = $2
returning
    event_id, revision, receipt_id, key_id, application, session_id, category, name, data::text, occurred_at,
    received_at, stored_at, updated_at, version
