-- dialogs.find_changed_dialogs
-- Dialogs of which customers have decided by other replicas. As tap_system.
-- $1 since, by the clock of the store; null: now  $2 replica_id
select now() as asked_at, dialogs.team_id, dialog_id
from (values ($1::timestamptz)) as asked (since)
left join dialogs on changed_at > since and replica_id <> $2
