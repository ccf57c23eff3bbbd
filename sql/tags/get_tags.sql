-- tags.get_tags
-- Those of these tags that the team has. Runs after tags.lock_team.
-- $1 team_id  $2 uids
select tag_id, uid, label, kind, destination_url, created_at, archived_at
from tags
where team_id = $1 and uid = any($2::text[])
