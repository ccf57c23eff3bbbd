-- tags.update_tag
-- Changes a tag. Runs after tags.lock_team.
-- $1 team_id  $2 tag_id  $3 label  $4 kind  $5 destination_url  $6 archived_at
with changed as (
    update tags set label = $3, kind = $4, destination_url = $5, archived_at = $6
    where team_id = $1 and tag_id = $2
    returning 1
)
update teams set tags_revision = tags_revision + 1 where team_id = $1 and exists (select from changed)
