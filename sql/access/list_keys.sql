-- access.list_keys
-- The keys of a team, the newest first: key_id grows with time. Never the key.
-- $1 team_id  $2 now: only those that are valid then; null: all  $3 older than this key; null: from the
-- newest  $4 how many; null: all
select
    key_id,
    prefix,
    name,
    scopes,
    queries_per_hour,
    created_at,
    created_by,
    expires_at,
    revoked_at,
    last_used_at,
    replaces,
    rotated_at,
    expires_at_before
from api_keys
where
    team_id = $1
    and ($2::timestamptz is null or (revoked_at is null and (expires_at is null or expires_at > $2)))
    and ($3::uuid is null or key_id < $3)
order by key_id desc
limit $4
