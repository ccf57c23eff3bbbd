-- dialogs.hold_customers
-- Those of these customers who were not erased: nobody erases them until this transaction ends.
-- $1 team_id  $2 customer_hashes
select customer_hash
from customers
where team_id = $1 and customer_hash = any ($2::bytea[]) and erased_at is null
order by customer_hash
for share
