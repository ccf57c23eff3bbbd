-- events.find_types
-- Which event types there are of these categories and names, and in which version.
-- $1 team_id  $2 categories  $3 names
select event_types.category, event_types.name, version
from unnest($2::text[], $3::text[]) as asked (category, name)
join event_types on
    event_types.team_id = $1
    and event_types.category = asked.category
    and event_types.name = asked.name
