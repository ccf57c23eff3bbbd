-- events.take_batches
-- Takes the oldest batches of the team out of the inbox, as far as nobody else has them: they are back there
-- when the transaction does not commit. One that has failed is taken alone. Whatever the bounds, one is taken.
-- $1 team_id  $2 now  $3 events at most  $4 bytes at most
with waiting as (
    select batch_id, events, bytes, attempts
    from event_inbox
    where team_id = $1 and next_try_at <= $2
    order by batch_id
    limit 500
), counted as (
    select
        batch_id,
        row_number() over before as nth,
        sum(events) over before as events,
        sum(bytes::bigint) over before as bytes,
        bool_or(attempts > 0) over before as failed
    from waiting
    window before as (order by batch_id)
), first as (
    select batch_id from counted where nth = 1 or (events <= $3::bigint and bytes <= $4::bigint and not failed)
), locked as (
    select batch_id
    from event_inbox
    where team_id = $1 and batch_id in (select batch_id from first)
    for update skip locked
)
delete from event_inbox using locked
where event_inbox.team_id = $1 and event_inbox.batch_id = locked.batch_id
returning
    event_inbox.batch_id, received_at, key_id, application, payload, replay_of, attempts
