-- taps.name_tags
-- What the given tags are called.
-- $1 team_id  $2 tag_ids
select tag_id, uid, label from tags where team_id = $1 and tag_id = any ($2::integer[])
