-- dialogs.find_erased
-- Which of these customers were erased.
-- $1 team_id  $2 customer_hashes
select customer_hash
from customers
where team_id = $1 and customer_hash = any ($2::bytea[]) and erased_at is not null
