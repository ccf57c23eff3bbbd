-- access.lock_teams
-- Lets one transaction at a time add teams, so that slugs stay unique without a unique key.
select pg_advisory_xact_lock(hashtext('tap_analytics.create_team'))
