-- events.group_errors
-- Event errors by what is wrong with them, the largest groups first, and how many there are in all.
-- $1 team_id  $2 reason; null: any  $3 field; null: any  $4 application; null: any  $5 fingerprint; null: any
-- $6 received at this instant or after; null: any  $7 before this; null: any
-- $8 true: sent again, false: not, null: both
-- $9 groups at most
with grouped as (
    select
        fingerprint as group_fingerprint,
        count(*) as count,
        min(received_at) as first_seen,
        max(received_at) as last_seen
    from event_errors
    where
        team_id = $1
    and ($2::text is null or reasons @> array[$2])
    and ($3::text is null or fields @> array[$3])
    and ($4::text is null or application = $4)
    and ($5::bytea is null or fingerprint = $5)
    and ($6::timestamptz is null or received_at >= $6)
    and ($7::timestamptz is null or received_at < $7)
    and ($8::boolean is null or (replayed_as is not null) = $8)
    group by fingerprint
), largest as (
    select *, (sum(count) over ())::bigint as total
    from grouped
    order by count desc, last_seen desc, group_fingerprint
    limit $9
)
select
    total, count, first_seen, last_seen, group_fingerprint as fingerprint, error_id, application,
    violations::text
from largest
cross join lateral (
    select error_id, application, violations
    from event_errors
    where
        team_id = $1 and fingerprint = group_fingerprint and received_at = last_seen
    and ($2::text is null or reasons @> array[$2])
    and ($3::text is null or fields @> array[$3])
    and ($4::text is null or application = $4)
    and ($5::bytea is null or fingerprint = $5)
    and ($6::timestamptz is null or received_at >= $6)
    and ($7::timestamptz is null or received_at < $7)
    and ($8::boolean is null or (replayed_as is not null) = $8)
    order by error_id desc
    limit 1
) as newest
order by count desc, last_seen desc, group_fingerprint
