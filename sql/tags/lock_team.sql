-- tags.lock_team
-- Makes this transaction the only one that changes the team's tags until it ends, and says which state
-- these are in. What is read of them in the same statement would be of before the wait.
-- Not `for update`, which would wait for every row that refers to the team.
-- $1 team_id
select tags_revision from teams where team_id = $1 for no key update
