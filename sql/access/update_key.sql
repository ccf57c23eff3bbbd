-- access.update_key
-- Changes what can be changed of a key.
-- $1 team_id  $2 key_id  $3 name  $4 scopes  $5 queries_per_hour  $6 expires_at  $7 revoked_at
update api_keys
set name = $3, scopes = $4, queries_per_hour = $5, expires_at = $6, revoked_at = $7
where team_id = $1 and key_id = $2
