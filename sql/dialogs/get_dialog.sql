-- dialogs.get_dialog
-- A dialog of which a customer has decided, as it is now.
-- $1 team_id  $2 dialog_id
select granted, customer_hash, refused_at
from dialogs
where team_id = $1 and dialog_id = $2
