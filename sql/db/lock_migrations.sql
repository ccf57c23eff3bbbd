-- db.lock_migrations
-- Lets one process at a time migrate: held until its connection closes.
select pg_advisory_lock(hashtext('tap_analytics.migrate'))
