-- dialogs.redact_messages
-- Replaces the texts of messages.
-- $1 team_id  $2 redacted_at  $3 message_ids  $4 texts
update messages set text = new.text, redacted_at = $2
from unnest($3::uuid[], $4::text[]) as new (message_id, text)
where messages.team_id = $1 and messages.message_id = new.message_id
