-- dialogs.unlink_consents
-- Takes dialog and customer out of the decisions of a customer; what is left of them is a keyed hash.
-- $1 team_id  $2 dialog_ids  $3 customer_hash
with changed as (
    update consents set dialog_id = null, customer_hash = $3
    where team_id = $1 and dialog_id = any ($2::text[])
    returning 1
)
select count(*) as changed from changed
