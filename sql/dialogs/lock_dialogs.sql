-- dialogs.lock_dialogs
-- The same, for those that are about to be given a customer: one replica after another.
-- $1 team_id  $2 dialog_ids
select dialog_id, true as held, granted, customer_hash, refused_at
from dialogs
where team_id = $1 and dialog_id = any ($2::text[])
order by dialog_id
for update
