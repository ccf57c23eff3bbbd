-- tags.update_tags
-- Changes tags, but for whether they are archived. Runs after tags.lock_team.
-- $1 team_id  $2 tag_ids  $3 labels  $4 kinds  $5 destination_urls
with changed as (
    update tags
    set label = new.label, kind = new.kind, destination_url = new.destination_url
    from unnest($2::integer[], $3::text[], $4::text[], $5::text[]) as new (tag_id, label, kind, destination_url)
    where tags.team_id = $1 and tags.tag_id = new.tag_id
    returning 1
)
update teams set tags_revision = tags_revision + 1 where team_id = $1 and exists (select from changed)
