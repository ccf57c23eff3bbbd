-- dialogs.list_consents
-- A page of decisions, the newest first.
-- $1 team_id  $2 at most  $3 dialog_id; null: any  $4, $5 decided_at and consent_id of the last one before; null: none
select
    consents.consent_id, consents.dialog_id, customer_id, decision, purpose, policy_version, policy_hash, decided_at,
    key_id
from consents
left join dialogs on dialogs.team_id = consents.team_id and dialogs.dialog_id = consents.dialog_id
left join customers on customers.team_id = dialogs.team_id and customers.customer_hash = dialogs.customer_hash
where
    consents.team_id = $1
    and ($3::text is null or consents.dialog_id = $3)
    and ($4::timestamptz is null or (decided_at, consents.consent_id) < ($4, $5::uuid))
order by decided_at desc, consents.consent_id desc
limit $2
