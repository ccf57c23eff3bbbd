-- access.update_key
-- Changes what can be changed of a key that is not revoked.
-- $1 team_id  $2 key_id  $3 name  $4 scopes  $5 queries_per_hour  $6 expires_at  $7 revoked_at
-- $8 rotated_at  $9 expires_at_before
update api_keys
set
    name = $3,
    scopes = $4,
    queries_per_hour = $5,
    expires_at = $6,
    revoked_at = $7,
    rotated_at = $8,
    expires_at_before = $9
where team_id = $1 and key_id = $2
