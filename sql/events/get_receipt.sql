-- events.get_receipt
-- What became of an event that was taken: one row, or none when there is no such receipt.
-- $1 team_id  $2 receipt_id  $3 its batch_id  $4 its place in that, from 0
select 'pending' as state, null::uuid as event_id
from event_inbox
where team_id = $1 and batch_id = $3 and events > $4
union all
select 'stored', event_id from events where team_id = $1 and receipt_id = $2
union all
select 'duplicate', event_id from event_duplicates where team_id = $1 and receipt_id = $2
union all
select 'rejected', null from event_errors where team_id = $1 and error_id = $2
