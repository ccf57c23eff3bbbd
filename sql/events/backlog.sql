-- events.backlog
-- What waits to be stored, by team: how many events, since when, and whether some may be tried now.
-- $1 now
select
    team_id,
    sum(events) as events,
    sum(bytes::bigint)::bigint as bytes,
    min(received_at) as oldest,
    bool_or(next_try_at <= $1) as due
from event_inbox
group by team_id
