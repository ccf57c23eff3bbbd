-- access.drop_signing
-- Drops the secrets that tokens are signed with: all, or all but the newest.
-- $1 keep the newest
delete from secrets
where
    name like 'signing.%'
    and not ($1::boolean and name = (
        select name from secrets where name like 'signing.%' order by created_at desc limit 1
    ))
