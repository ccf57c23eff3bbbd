-- events.store_errors
-- Stores event errors.
-- $1 team_id  $2 rejected_at  $3 error_ids  $4 received_ats  $5 key_ids  $6 applications  $7 fingerprints
-- $8 reasons and $9 fields, each as a JSON array  $10 violations  $11 payloads  $12 replay_ofs
insert into event_errors (
    team_id, error_id, received_at, rejected_at, key_id, application, fingerprint, reasons, fields, violations,
    bytes, payload, replay_of
)
select
    $1, error_id, received_at, $2, key_id, application, fingerprint,
    array(select json_array_elements_text(reasons::json)),
    array(select json_array_elements_text(fields::json)),
    violations::json, octet_length(payload) + octet_length(violations), payload::json, replay_of
from unnest(
    $3::uuid[], $4::timestamptz[], $5::uuid[], $6::text[], $7::bytea[], $8::text[], $9::text[], $10::text[],
    $11::text[], $12::uuid[]
) as refused (
    error_id, received_at, key_id, application, fingerprint, reasons, fields, violations, payload, replay_of
)
