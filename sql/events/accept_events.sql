-- events.accept_events
-- Takes batches of events, all of them at one time, and counts them as received.
-- $1 team_id  $2 received_at  $3 batch_ids  $4 key_ids  $5 applications  $6 how many events  $7 bytes  $8 payloads
-- $9 the event errors that they are sent again from, each as a text of uuid[]; null: from none
with taken as (
    insert into event_inbox (
        team_id, batch_id, received_at, key_id, application, events, bytes, payload, replay_of, next_try_at
    )
    select $1, batch_id, $2, key_id, application, events, bytes, payload, replay_of::uuid[], $2
    from unnest($3::uuid[], $4::uuid[], $5::text[], $6::integer[], $7::integer[], $8::text[], $9::text[])
        as batch (batch_id, key_id, application, events, bytes, payload, replay_of)
)
insert into event_received (team_id, minute, events)
select $1, date_trunc('minute', $2::timestamptz), sum(events)
from unnest($6::integer[]) as batch (events)
on conflict (team_id, minute) do update set events = event_received.events + excluded.events
