-- access.create_key
-- Stores a new key by its hash.
-- $1 team_id  $2 key_id  $3 key_hash  $4 prefix  $5 name  $6 scopes  $7 queries_per_hour  $8 expires_at
-- $9 created_by  $10 replaces  $11 created_at
insert into api_keys (
    team_id, key_id, key_hash, prefix, name, scopes, queries_per_hour, expires_at, created_by, replaces,
    created_at
)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
