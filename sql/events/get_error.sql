-- events.get_error
-- One event error.
-- $1 team_id  $2 error_id
select
    error_id, key_id, application, received_at, rejected_at, fingerprint, violations::text, payload::text,
    replay_of, replayed_as, became_event_id, became_error_id
from event_errors
where team_id = $1 and error_id = $2
