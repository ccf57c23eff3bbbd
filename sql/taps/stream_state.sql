-- taps.stream_state
-- The team's revision, and the one from which on all taps are still there.
-- $1 team_id
select revision, replay_after from teams where team_id = $1
