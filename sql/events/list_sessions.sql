-- events.list_sessions
-- A page of sessions, the newest first.
-- $1 team_id  $2 tap_id; null: of any  $3 created_at of the last of the page before; null: the first page
-- $4 its session_id  $5 at most
select session_id, tap_id, application, created_at
from sessions
where
    team_id = $1
    and ($2::uuid is null or tap_id = $2)
    and ($3::timestamptz is null or (created_at, session_id) < ($3, $4::uuid))
order by created_at desc, session_id desc
limit $5
