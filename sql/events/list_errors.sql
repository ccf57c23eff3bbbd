-- events.list_errors
-- A page of event errors, the newest first.
-- As many as have no more than 2 MiB together, and at least one; `found` is how many there are without that bound.
-- $1 team_id  $2 reason; null: any  $3 field; null: any  $4 application; null: any  $5 fingerprint; null: any
-- $6 received at this instant or after; null: any  $7 before this; null: any
-- $8 true: sent again, false: not, null: both
-- $9 received_at of the last of the page before; null: the first page  $10 its error_id  $11 at most
with page as (
    select
        error_id, received_at, bytes
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
        and ($9::timestamptz is null or (received_at, error_id) < ($9, $10::uuid))
    order by received_at desc, error_id desc
    limit $11
), measured as (
    select
        error_id,
        count(*) over () as found,
        sum(bytes) over (order by received_at desc, error_id desc) - bytes as before
    from page
)
select
    found,
    error_id, key_id, application, received_at, rejected_at, fingerprint, violations::text, payload::text,
    replay_of, replayed_as, became_event_id, became_error_id
from measured
join event_errors using (error_id)
where team_id = $1 and before < 2097152
order by received_at desc, error_id desc
