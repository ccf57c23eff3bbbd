-- dialogs.touch_customer
-- Says that a customer was changed, now that all that takes long is done: replicas look back for a while only.
-- $1 team_id  $2 customer_hash
update customers set changed_at = clock_timestamp() where team_id = $1 and customer_hash = $2
