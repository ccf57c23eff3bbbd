-- dialogs.insert_customers
-- Customers of whom something is about to be stored. Those that are there stay as they are.
-- $1 team_id  $2 customer_hashes  $3 customer_ids  $4 replica_id
insert into customers (team_id, customer_hash, customer_id, replica_id)
select $1, customer_hash, customer_id, $4
from unnest($2::bytea[], $3::text[]) as new (customer_hash, customer_id)
order by customer_hash
on conflict (team_id, customer_hash) do nothing
