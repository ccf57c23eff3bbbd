-- events.count_types
-- How many event types the team has.
-- $1 team_id
select count(*) as types from event_types where team_id = $1
