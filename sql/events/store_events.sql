-- events.store_events
-- Stores events, which must not be there. Runs after events.lock_head.
-- $1 team_id  $2 revision of the first, less one  $3 stored_at  $4 event_ids  $5 receipt_ids  $6 received_ats
-- $7 key_ids  $8 applications  $9 content_hashes  $10 session_ids  $11 categories  $12 names  $13 data
-- $14 occurred_ats
insert into events (
    team_id, event_id, revision, received_at, stored_at, receipt_id, key_id, application, content_hash,
    session_id, category, name, bytes, data, occurred_at
)
select
    $1, event_id, $2 + nth, received_at, $3, receipt_id, key_id, application, content_hash,
    session_id, category, name, octet_length(data), data::json, occurred_at
from unnest(
    $4::uuid[], $5::uuid[], $6::timestamptz[], $7::uuid[], $8::text[], $9::bytea[], $10::uuid[], $11::text[],
    $12::text[], $13::text[], $14::timestamptz[]
) with ordinality as stored (
    event_id, receipt_id, received_at, key_id, application, content_hash, session_id, category, name, data,
    occurred_at, nth
)
