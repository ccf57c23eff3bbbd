-- db.begin_team_write
-- Opens a change of what is one team's. As db.begin_team, but for reading and writing.
begin isolation level read committed;
set local citus.propagate_set_commands = 'local';
-- Whoever waits for others for longer is better told to come back.
set local lock_timeout = '3s';
set local app.team_id = '{team_id}';
