-- taps.notify_taps
-- Tells every replica that a team has a new revision. A hint: a lost one costs a second.
-- $1 payload: team_id:revision
select pg_notify('taps', $1)
