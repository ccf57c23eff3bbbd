-- access.find_team
-- The team of a slug.
-- $1 slug
select team_id, slug, name from teams where slug = $1
