-- access.create_team
-- Adds a team unless its slug or its number is taken. Runs after access.lock_teams.
-- $1 team_id; null: the next  $2 slug  $3 name
insert into teams (team_id, slug, name)
select coalesce($1, (select coalesce(max(team_id), 0) + 1 from teams)), $2, $3
where not exists (select from teams where slug = $2 or team_id = $1)
returning team_id
