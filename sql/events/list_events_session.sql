-- events.list_events_session
-- A page of events, the oldest first; those of one time as they were sent.
-- As many as have no more than 2 MiB together, and at least one; `found` is how many there are without that bound.
-- $1 team_id  $2 session_id; null: of any  $3 category; null: of any  $4 name; null: of any
-- $5 from this instant on; null: from any  $6 before this instant; null: before any
-- $7 occurred_at of the last of the page before; null: the first page  $8 its revision  $9 at most
with page as (
    select event_id, occurred_at, revision, bytes
    from events
    where
        team_id = $1
        and ($2::uuid is null or session_id = $2)
        and ($3::text is null or category = $3)
        and ($4::text is null or name = $4)
        and ($5::timestamptz is null or occurred_at >= $5)
        and ($6::timestamptz is null or occurred_at < $6)
        and ($7::timestamptz is null or (occurred_at, revision) > ($7, $8::bigint))
        and deleted_at is null
    order by occurred_at, revision
    limit $9
), measured as (
    select
        event_id,
        count(*) over () as found,
        sum(bytes) over (order by occurred_at, revision) - bytes as before
    from page
)
select
    found, event_id, revision, receipt_id, key_id, application, session_id, category, name, data::text, occurred_at,
    received_at, stored_at, updated_at, version
from measured
join events using (event_id)
where team_id = $1 and before < 2097152
order by occurred_at, revision
