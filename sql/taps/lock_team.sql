-- taps.lock_team
-- Makes this transaction the only writer of the team until it ends.
-- $1 team_id
select revision from teams where team_id = $1 for update
