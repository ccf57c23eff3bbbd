-- dialogs.insert_messages
-- The one statement that stores messages: of dialogs that have consent, each with its customer. Those of a request that
-- is stored already are left out.
-- $1 team_id  $2 message_ids  $3 dialog_ids  $4 customer_hashes  $5 request_ids  $6 languages  $7 texts  $8 received_ats
insert into messages (
    team_id, message_id, dialog_id, customer_hash, request_id, language, text, received_at
)
select $1, message_id, new.dialog_id, new.customer_hash, request_id, language, text, received_at
from unnest(
    $2::uuid[], $3::text[], $4::bytea[], $5::uuid[], $6::text[], $7::text[], $8::timestamptz[]
) as new (message_id, dialog_id, customer_hash, request_id, language, text, received_at)
join dialogs on dialogs.team_id = $1 and dialogs.dialog_id = new.dialog_id
where dialogs.granted and dialogs.customer_hash = new.customer_hash
on conflict do nothing
returning message_id
