-- tags.get_tag
-- One tag.
-- $1 team_id  $2 uid
select tag_id, uid, label, kind, destination_url, created_at, archived_at
from tags
where team_id = $1 and uid = $2
