-- events.open_errors
-- Event errors that were not sent again, the oldest first, which only this transaction may send again.
-- As many as have no more than 4 MiB together, and at least one.
-- $1 team_id  $2 reason; null: any  $3 field; null: any  $4 application; null: any  $5 fingerprint; null: any
-- $6 received at this instant or after; null: any  $7 before this; null: any  $8 error_ids; null: any
-- $9 at most
with page as (
    select error_id, received_at, bytes
    from event_errors
    where
        team_id = $1
        and ($2::text is null or reasons @> array[$2])
        and ($3::text is null or fields @> array[$3])
        and ($4::text is null or application = $4)
        and ($5::bytea is null or fingerprint = $5)
        and ($6::timestamptz is null or received_at >= $6)
        and ($7::timestamptz is null or received_at < $7)
        and ($8::uuid[] is null or error_id = any ($8))
        and replayed_as is null
    order by received_at, error_id
    limit $9
), measured as (
    select error_id, sum(bytes) over (order by received_at, error_id) - bytes as before from page
)
select
    error_id, key_id, application, received_at, rejected_at, fingerprint, violations::text, payload::text,
    replay_of, replayed_as, became_event_id, became_error_id
from event_errors
where
    team_id = $1
    and error_id in (select error_id from measured where before < 4194304)
    -- Somebody else may have sent it again while we waited for it.
    and replayed_as is null
order by received_at, error_id
for no key update
