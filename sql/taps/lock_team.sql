-- taps.lock_team
-- Makes this transaction the only writer of the team until it ends.
-- Not `for update`, which would wait for every row that refers to the team.
-- $1 team_id
select revision from teams where team_id = $1 for no key update
