-- tags.count_tags
-- How many tags the team has: their ids count up from 1, and none is ever deleted.
-- $1 team_id
select coalesce(max(tag_id), 0) as tags from tags where team_id = $1
