-- access.list_teams
-- Every team.
select team_id, slug, name from teams order by team_id
