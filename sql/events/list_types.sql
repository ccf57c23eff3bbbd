-- events.list_types
-- A page of event types, by category and name.
-- $1 team_id  $2 category; null: of any  $3 category of the last of the page before; null: the first page
-- $4 its name  $5 at most
select category, name, schema::text, created_at, updated_at, version
from event_types
where
    team_id = $1
    and ($2::text is null or category = $2)
    and ($3::text is null or (category collate "C", name collate "C") > ($3, $4::text))
order by category collate "C", name collate "C"
limit $5
