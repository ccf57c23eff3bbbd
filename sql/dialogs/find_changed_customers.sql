-- dialogs.find_changed_customers
-- Customers who were erased by other replicas. As tap_system.
-- $1 since, by the clock of the store  $2 replica_id
select team_id, customer_hash
from customers
where changed_at > $1 and erased_at is not null and replica_id <> $2
