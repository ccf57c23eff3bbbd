-- dialogs.hold_dialogs
-- Dialogs of which a customer has decided: nobody changes the decision until this transaction ends.
-- $1 team_id  $2 dialog_ids
select dialog_id, granted, customer_hash
from dialogs
where team_id = $1 and dialog_id = any ($2::text[])
order by dialog_id
for key share
