-- events.count_outcomes
-- Counts what became of events, by the minute in which they were taken.
-- $1 team_id  $2 minutes, each once  $3 stored  $4 duplicate  $5 rejected
insert into event_outcomes as counted (team_id, minute, stored, duplicate, rejected)
select $1, minute, stored, duplicate, rejected
from unnest($2::timestamptz[], $3::bigint[], $4::bigint[], $5::bigint[])
    as became (minute, stored, duplicate, rejected)
order by minute
on conflict (team_id, minute) do update set
    stored = counted.stored + excluded.stored,
    duplicate = counted.duplicate + excluded.duplicate,
    rejected = counted.rejected + excluded.rejected
