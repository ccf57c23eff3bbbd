-- access.load_keys
-- Every key that is valid now, for the directory in memory; and those that expired lately, so that
-- their holders are told why they are refused.
select
    team_id,
    key_id,
    key_hash,
    prefix,
    api_keys.name,
    scopes,
    queries_per_hour,
    expires_at,
    slug as team_slug,
    teams.name as team_name
from api_keys join teams using (team_id)
where revoked_at is null and (expires_at is null or expires_at > now() - interval '90 days')
