-- dialogs.find_requests
-- Messages by the requests that brought them.
-- $1 team_id  $2 dialog_ids  $3 request_ids, one for each of these
select messages.dialog_id, messages.request_id, message_id, language, text, redacted_at
from unnest($2::text[], $3::uuid[]) as asked (dialog_id, request_id)
join messages
    on messages.team_id = $1
    and messages.dialog_id = asked.dialog_id
    and messages.request_id = asked.request_id
