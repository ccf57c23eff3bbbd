-- access.forget_keys
-- Deletes keys that ended a long time ago.
-- $1 ended before
delete from api_keys where coalesce(least(revoked_at, expires_at), 'infinity') < $1
