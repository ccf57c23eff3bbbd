-- access.list_key_events
-- What was done to keys, the newest first: event_id grows with time.
-- $1 team_id  $2 key_id; null: of all  $3 older than this event; null: from the newest  $4 how many
select event_id, occurred_at, key_id, actor_key_id, action, changes::text as changes
from key_events
where team_id = $1 and ($2::uuid is null or key_id = $2) and ($3::uuid is null or event_id < $3)
order by event_id desc
limit $4
