-- dialogs.delete_messages_of_customer
-- Deletes what is stored of a customer.
-- $1 team_id  $2 customer_hash
with gone as (
    delete from messages where team_id = $1 and customer_hash = $2 returning 1
)
select count(*) as gone from gone
