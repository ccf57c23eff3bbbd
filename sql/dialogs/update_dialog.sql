-- dialogs.update_dialog
-- Another decision. What is stored has to be deleted before, where it is not consent.
-- $1 team_id  $2 dialog_id  $3 granted  $4 consent_id  $5 replica_id
update dialogs set granted = $3, consent_id = $4, replica_id = $5, changed_at = now()
where team_id = $1 and dialog_id = $2
