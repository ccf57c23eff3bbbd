-- events.find_sessions
-- Which of these sessions the team has.
-- $1 team_id  $2 session_ids
select session_id from sessions where team_id = $1 and session_id = any ($2::uuid[])
