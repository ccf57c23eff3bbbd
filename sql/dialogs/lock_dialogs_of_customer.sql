-- dialogs.lock_dialogs_of_customer
-- The dialogs of a customer, which nobody adds to or decides of until this transaction ends.
-- $1 team_id  $2 customer_hash
select dialog_id
from dialogs
where team_id = $1 and customer_hash = $2
order by dialog_id
for update
