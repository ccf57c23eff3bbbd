-- dialogs.insert_dialog
-- A dialog with its first decision. Nothing when there is one already.
-- $1 team_id  $2 dialog_id  $3 granted  $4 consent_id  $5 refused_at  $6 replica_id
insert into dialogs (team_id, dialog_id, granted, consent_id, refused_at, replica_id)
values ($1, $2, $3, $4, $5, $6)
on conflict (team_id, dialog_id) do nothing
returning dialog_id
