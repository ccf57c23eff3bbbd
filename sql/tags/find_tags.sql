-- tags.find_tags
-- The tags of the team among the given uids.
-- $1 team_id  $2 uids
select tag_id, uid from tags where team_id = $1 and uid = any ($2::text[])
