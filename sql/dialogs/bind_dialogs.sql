-- dialogs.bind_dialogs
-- Says whose dialogs these are, where it is not known yet.
-- $1 team_id  $2 dialog_ids  $3 customer_hashes  $4 replica_id
update dialogs set customer_hash = new.customer_hash, replica_id = $4, changed_at = clock_timestamp()
from unnest($2::text[], $3::bytea[]) as new (dialog_id, customer_hash)
where
    dialogs.team_id = $1
    and dialogs.dialog_id = new.dialog_id
    and dialogs.customer_hash is null
