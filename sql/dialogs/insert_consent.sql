-- dialogs.insert_consent
-- Notes a decision.
-- $1 team_id  $2 consent_id  $3 dialog_id  $4 decision  $5 purpose  $6 policy_version  $7 policy_hash  $8 decided_at
-- $9 key_id
insert into consents (
    team_id, consent_id, dialog_id, decision, purpose, policy_version, policy_hash, decided_at, key_id
)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
