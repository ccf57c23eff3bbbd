-- dialogs.list_consents_of_customer
-- A page of decisions of a customer, the newest first. Those of dialogs that are stored, and those of who was erased.
-- $1 team_id  $2 at most  $3 dialog_id; null: any  $4, $5 decided_at and consent_id of the last one before; null: none
-- $6 customer_hash
select
    consents.consent_id, consents.dialog_id, customer_id, decision, purpose, policy_version, policy_hash, decided_at,
    key_id
from (
    select consents.*
    from dialogs
    join consents on consents.team_id = dialogs.team_id and consents.dialog_id = dialogs.dialog_id
    where dialogs.team_id = $1 and dialogs.customer_hash = $6
    union all
    select consents.*
    from consents
    where consents.team_id = $1 and consents.customer_hash = $6
) as consents
left join customers on customers.team_id = $1 and customers.customer_hash = $6
where
    ($3::text is null or consents.dialog_id = $3)
    and ($4::timestamptz is null or (decided_at, consents.consent_id) < ($4, $5::uuid))
order by decided_at desc, consents.consent_id desc
limit $2
