-- access.get_key
-- One key of a team. Never the key itself.
-- $1 team_id  $2 key_id
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
where team_id = $1 and key_id = $2
