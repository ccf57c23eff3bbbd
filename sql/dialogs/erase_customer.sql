-- dialogs.erase_customer
-- Forgets the id of a customer, for good: from here on nothing of theirs is stored. One who was erased stays erased
-- since then.
-- $1 team_id  $2 customer_hash  $3 erased_at  $4 replica_id
insert into customers (team_id, customer_hash, erased_at, replica_id)
values ($1, $2, $3, $4)
on conflict (team_id, customer_hash) do update set
    customer_id = null,
    erased_at = coalesce(customers.erased_at, excluded.erased_at),
    replica_id = excluded.replica_id,
    changed_at = clock_timestamp()
