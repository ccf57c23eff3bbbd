-- access.notify_keys
-- Tells every replica to load the keys again.
select pg_notify('api_keys', '')
