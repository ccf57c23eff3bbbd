-- events.mark_replayed
-- Notes with which receipts event errors are sent again. Runs after events.open_errors.
-- $1 team_id  $2 error_ids  $3 receipts
update event_errors set replayed_as = sent.receipt
from unnest($2::uuid[], $3::uuid[]) as sent (replayed, receipt)
where event_errors.team_id = $1 and event_errors.error_id = sent.replayed and replayed_as is null
