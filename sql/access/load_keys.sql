-- access.load_keys
-- Every key that is valid now, for the directory in memory; and those that expired lately, so that
-- their holders are told why they are refused.
select team_id, key_id, key_hash, scopes, queries_per_hour, expires_at
from api_keys
where revoked_at is null and (expires_at is null or expires_at > now() - interval '90 days')
