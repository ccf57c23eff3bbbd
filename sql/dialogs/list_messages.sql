-- dialogs.list_messages
-- A page of messages that meet all of the conditions, the newest first.
-- As many as take no more than 1 MiB together, and at least one; `found` is how many there are without that bound.
-- $1 team_id  $2 at most  $3 language; null: any  $4 customer_hash; null: any  $5 dialog_id; null: any
-- $6 not before; null: none  $7 before; null: none
-- $8, $9 received_at and message_id of the last one before; null: none
with page as (
    select message_id, dialog_id, customer_hash, language, text, received_at, redacted_at
    from messages
    where
        team_id = $1
        and ($3::text is null or language = $3)
        and ($4::bytea is null or customer_hash = $4)
        and ($5::text is null or dialog_id = $5)
        and ($6::timestamptz is null or received_at >= $6)
        and ($7::timestamptz is null or received_at < $7)
        and ($8::timestamptz is null or (received_at, message_id) < ($8, $9::uuid))
    order by received_at desc, message_id desc
    limit $2
), measured as (
    select
        *,
        count(*) over () as found,
        sum(octet_length(text) + 300) over (order by received_at desc, message_id desc)
            - octet_length(text) - 300 as bytes_before
    from page
)
select
    message_id,
    dialog_id,
    -- For each message: to join them, for a large page, all customers would be read.
    (select customer_id from customers where team_id = $1 and customer_hash = measured.customer_hash) as customer_id,
    language,
    text,
    received_at,
    redacted_at,
    found
from measured
where bytes_before < 1048576
order by received_at desc, message_id desc
