-- events.create_sessions
-- Makes the sessions that are not there; one that was made without its tap is given it.
-- $1 team_id  $2 session_ids, each once  $3 tap_ids  $4 key_ids  $5 applications  $6 created_at
insert into sessions (team_id, session_id, tap_id, key_id, application, created_at)
select $1, session_id, tap_id, key_id, application, $6
from unnest($2::uuid[], $3::uuid[], $4::uuid[], $5::text[]) as made (session_id, tap_id, key_id, application)
order by session_id
on conflict (team_id, session_id) do update set tap_id = excluded.tap_id
where sessions.tap_id is null and excluded.tap_id is not null
