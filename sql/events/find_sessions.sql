-- events.find_sessions
-- Which of these sessions the team has. Looked up one by one: asked for all at once, PostgreSQL reads all sessions
-- of the team, as long as it takes there to be few.
-- $1 team_id  $2 session_ids
select found.session_id
from unnest($2::uuid[]) as asked (session_id)
cross join lateral (
    select sessions.session_id
    from sessions
    where team_id = $1 and sessions.session_id = asked.session_id
    limit 1
) as found
