-- access.drop_signing
-- Drops secrets that tokens are signed with: those in whose place another has signed since an instant, or all.
-- $1 since  $2 all
delete from secrets
where
    name like 'signing.%'
    and ($2::boolean or exists (
        select from secrets as newer
        where newer.name like 'signing.%' and newer.created_at > secrets.created_at and newer.created_at < $1
    ))
