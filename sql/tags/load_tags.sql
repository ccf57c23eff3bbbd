-- tags.load_tags
-- All tags of a team, and the revision of its tags that this is.
-- $1 team_id
select
    teams.slug,
    teams.tags_revision,
    tags.tag_id,
    tags.uid,
    tags.label,
    tags.kind,
    tags.destination_url,
    tags.created_at,
    tags.archived_at
from teams left join tags using (team_id)
where teams.team_id = $1
