-- dialogs.find_unredacted
-- Messages in which is still what identifies people, the oldest first.
-- $1 team_id  $2 that came before  $3 at most
select message_id, text
from messages
where team_id = $1 and redacted_at is null and received_at < $2
order by received_at
limit $3
