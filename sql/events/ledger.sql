-- events.ledger
-- What became of the events that were taken in each minute, the newest first, and of all of them: one row more,
-- the first, without a minute. What waits is counted from the inbox, and not from the difference.
-- $1 team_id  $2 from this minute on  $3 before this instant  $4 the last minute of the page before; null: the
-- first page  $5 minutes at most
with pending as (
    select date_trunc('minute', received_at) as minute, sum(events) as events
    from event_inbox
    where team_id = $1 and received_at >= $2 and received_at < $3
    group by 1
), minutes as (
    select
        received.minute,
        received.events as received,
        coalesce(stored, 0) as stored,
        coalesce(duplicate, 0) as duplicate,
        coalesce(rejected, 0) as rejected,
        coalesce(pending.events, 0) as pending
    from event_received as received
    left join event_outcomes as outcome on
        outcome.team_id = received.team_id and outcome.minute = received.minute
    left join pending on pending.minute = received.minute
    where received.team_id = $1 and received.minute >= $2 and received.minute < $3
), page as (
    select * from minutes
    where $4::timestamptz is null or minute < $4
    order by minute desc
    limit $5
)
(
    select
        null::timestamptz as minute,
        coalesce(sum(received), 0)::bigint as received,
        coalesce(sum(stored), 0)::bigint as stored,
        coalesce(sum(duplicate), 0)::bigint as duplicate,
        coalesce(sum(rejected), 0)::bigint as rejected,
        coalesce(sum(pending), 0)::bigint as pending
    from minutes
)
union all
(select minute, received, stored, duplicate, rejected, pending::bigint from page order by minute desc)
