-- taps.list_tags
-- All tags of a team, for the writer.
-- $1 team_id
select tag_id, uid, kind from tags where team_id = $1
