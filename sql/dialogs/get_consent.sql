-- dialogs.get_consent
-- A decision.
-- $1 team_id  $2 consent_id
select
    consents.consent_id, consents.dialog_id, customer_id, decision, purpose, policy_version, policy_hash, decided_at, key_id
from consents
left join dialogs on dialogs.team_id = consents.team_id and dialogs.dialog_id = consents.dialog_id
left join customers on customers.team_id = dialogs.team_id and customers.customer_hash = dialogs.customer_hash
where consents.team_id = $1 and consents.consent_id = $2
