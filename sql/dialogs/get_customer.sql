-- dialogs.get_customer
-- What is known of a customer themselves.
-- $1 team_id  $2 customer_hash
select erased_at
from customers
where team_id = $1 and customer_hash = $2
