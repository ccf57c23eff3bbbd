-- access.list_keys
-- The keys of a team, the newest first. Never the key.
-- $1 team_id
select key_id, prefix, name, scopes, queries_per_hour, expires_at, revoked_at
from api_keys
where team_id = $1
order by created_at desc, key_id desc
