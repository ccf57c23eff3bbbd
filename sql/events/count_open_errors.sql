-- events.count_open_errors
-- How many event errors there are that were not sent again.
-- $1 team_id  $2 reason; null: any  $3 field; null: any  $4 application; null: any  $5 fingerprint; null: any
-- $6 received at this instant or after; null: any  $7 before this; null: any  $8 error_ids; null: any
select count(*) as errors
from event_errors
where
    team_id = $1
    and ($2::text is null or reasons @> array[$2])
    and ($3::text is null or fields @> array[$3])
    and ($4::text is null or application = $4)
    and ($5::bytea is null or fingerprint = $5)
    and ($6::timestamptz is null or received_at >= $6)
    and ($7::timestamptz is null or received_at < $7)
    and ($8::uuid[] is null or error_id = any ($8))
    and replayed_as is null
