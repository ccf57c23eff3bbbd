-- events.lock_event
-- One event, which only this transaction may change until it ends.
-- $1 team_id  $2 event_id
select
    event_id, revision, receipt_id, key_id, application, session_id, category, name, data::text, occurred_at,
    received_at, stored_at, updated_at, version
from events
where team_id = $1 and event_id = $2 and deleted_at is null
for no key update
