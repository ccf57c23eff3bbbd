-- access.lock_keys
-- Lets one transaction at a time change the keys of a team: what it looked at is still so when it writes.
-- $1 team_id
select pg_advisory_xact_lock(hashtext('tap_analytics.keys'), $1)
