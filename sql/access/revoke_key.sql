-- access.revoke_key
-- Ends a key for good. Finds nothing when there is no such key; an earlier revocation stands.
-- $1 team_id  $2 key_id
update api_keys set revoked_at = coalesce(revoked_at, now())
where team_id = $1 and key_id = $2
returning revoked_at
