-- access.count_keys
-- How many keys of a team the directory holds in memory: as access.load_keys loads them.
-- $1 team_id
select count(*) as keys
from api_keys
where team_id = $1 and revoked_at is null and (expires_at is null or expires_at > now() - interval '90 days')
