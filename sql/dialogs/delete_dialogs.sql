-- dialogs.delete_dialogs
-- Forgets dialogs that are locked, and have no messages any more.
-- $1 team_id  $2 dialog_ids
delete from dialogs where team_id = $1 and dialog_id = any ($2::text[])
