-- access.list_teams
-- Every team.
select team_id, slug, name, revision, created_at from teams order by team_id
