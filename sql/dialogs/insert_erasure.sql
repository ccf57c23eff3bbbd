-- dialogs.insert_erasure
-- A receipt.
-- $1 team_id  $2 number  $3 erasure_id  $4 customer_hash  $5 erased_at  $6 key_id  $7 messages  $8 pending_messages
-- $9 dialogs  $10 consents  $11 previous_hash  $12 hash
insert into erasures (
    team_id, number, erasure_id, customer_hash, erased_at, key_id, messages, pending_messages, dialogs, consents,
    previous_hash, hash
)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
