-- access.forget_key_events
-- Deletes some of what was done to keys a long time ago, and says of how much.
-- $1 before  $2 at most
with old as (
    select team_id, event_id from key_events where occurred_at < $1 order by occurred_at limit $2
), gone as (
    delete from key_events using old
    where key_events.team_id = old.team_id and key_events.event_id = old.event_id
    returning 1
)
select count(*) as gone from gone
