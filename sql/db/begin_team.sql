-- db.begin_team
-- Opens a read of one snapshot that sees the rows of one team only. One round trip; the team is an
-- integer, written into the text because `set local` takes no parameters, and `set_config` would not
-- reach the workers of Citus.
begin isolation level repeatable read read only;
set local citus.propagate_set_commands = 'local';
set local app.team_id = '{team_id}';
