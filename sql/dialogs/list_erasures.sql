-- dialogs.list_erasures
-- A page of receipts, the newest first.
-- $1 team_id  $2 at most  $3 customer_hash; null: any  $4 number of the last one before; null: none
select
    number, erasure_id, customer_hash, erased_at, key_id, messages, pending_messages, dialogs, consents, previous_hash,
    hash
from erasures
where
    team_id = $1
    and ($3::bytea is null or customer_hash = $3)
    and ($4::bigint is null or number < $4)
order by number desc
limit $2
