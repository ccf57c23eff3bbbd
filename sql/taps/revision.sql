-- taps.revision
-- The team's revision: everything up to it is committed and can be seen.
-- $1 team_id
select revision from teams where team_id = $1
