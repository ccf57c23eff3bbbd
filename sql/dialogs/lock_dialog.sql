-- dialogs.lock_dialog
-- A dialog of which a customer has decided, for another decision.
-- $1 team_id  $2 dialog_id
select granted, customer_hash, refused_at, consent_id
from dialogs
where team_id = $1 and dialog_id = $2
for update
