-- events.get_session
-- One session.
-- $1 team_id  $2 session_id
select session_id, tap_id, application, created_at from sessions where team_id = $1 and session_id = $2
