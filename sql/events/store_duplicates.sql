-- events.store_duplicates
-- Keeps the receipts of events that were stored before.
-- $1 team_id  $2 receipt_ids  $3 event_ids  $4 received_ats
insert into event_duplicates (team_id, receipt_id, event_id, received_at)
select $1, receipt_id, event_id, received_at
from unnest($2::uuid[], $3::uuid[], $4::timestamptz[]) as duplicate (receipt_id, event_id, received_at)
