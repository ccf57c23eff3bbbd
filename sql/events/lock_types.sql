-- events.lock_types
-- Makes this transaction the only one that changes an event type until it ends, whether there is one or not, and
-- whoever makes another waits, too: so that they can be counted.
-- $1 team_id
select pg_advisory_xact_lock(hashtext('event types'), $1)
