-- events.read_events
-- Events after a revision, up to another, in the order in which they were stored.
-- $1 team_id  $2 after this revision  $3 up to this  $4 at most
-- $5 category; null: of any  $6 name; null: of any  $7 session_id; null: of any
select
    event_id, revision, receipt_id, key_id, application, session_id, category, name, data::text, occurred_at,
    received_at, stored_at, updated_at, version
from events
where
    team_id = $1 and revision > $2 and revision <= $3
    and ($5::text is null or category = $5)
    and ($6::text is null or name = $6)
    and ($7::uuid is null or session_id = $7)
    and deleted_at is null
order by revision
limit $4
