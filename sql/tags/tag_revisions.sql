-- tags.tag_revisions
-- Which state the tags of each team are in: only those of a team that has changed are loaded again.
select team_id, tags_revision from teams
