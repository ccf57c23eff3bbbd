-- access.forget_keys
-- Deletes some of the keys that ended a long time ago, and says how many.
-- $1 ended before  $2 at most
with old as (
    select team_id, key_id from api_keys where least(revoked_at, expires_at) < $1 limit $2
), gone as (
    delete from api_keys using old
    where api_keys.team_id = old.team_id and api_keys.key_id = old.key_id
    returning 1
)
select count(*) as gone from gone
