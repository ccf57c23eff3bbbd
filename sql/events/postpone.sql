-- events.postpone
-- Notes that storing batches has failed, and when to try again.
-- $1 team_id  $2 batch_ids  $3 next_try_at
update event_inbox set attempts = attempts + 1, next_try_at = $3
where team_id = $1 and batch_id = any ($2::uuid[])
