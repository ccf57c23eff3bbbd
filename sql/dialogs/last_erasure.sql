-- dialogs.last_erasure
-- The newest receipt of a team.
-- $1 team_id
select number, hash from erasures where team_id = $1 order by number desc limit 1
