-- access.touch_keys
-- Notes when keys of a team were last used.
-- $1 team_id  $2 key_ids  $3 last_used_ats
update api_keys
set last_used_at = used.at
from unnest($2::uuid[], $3::timestamptz[]) as used (key_id, at)
where
    team_id = $1
    and api_keys.key_id = used.key_id
    and (last_used_at is null or last_used_at < used.at)
