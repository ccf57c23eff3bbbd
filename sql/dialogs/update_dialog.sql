-- dialogs.update_dialog
-- Another decision. What is stored has to be deleted before, where it is not consent.
-- $1 team_id  $2 dialog_id  $3 granted  $4 consent_id  $5 refused_at; null: as before  $6 replica_id
update dialogs set
    granted = $3,
    consent_id = $4,
    refused_at = coalesce($5, refused_at),
    replica_id = $6,
    changed_at = clock_timestamp()
where team_id = $1 and dialog_id = $2
