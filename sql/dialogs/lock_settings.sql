-- dialogs.lock_settings
-- Erasures of a team, each of which has the hash of the one before, and changes of its settings come one after another.
-- $1 team_id
insert into dialog_settings (team_id) values ($1)
on conflict (team_id) do update set purpose = dialog_settings.purpose
