-- tags.list_tags
-- A page of the team's tags, by uid.
-- $1 team_id  $2 the last uid of the page before; '': none  $3 at most
-- $4 pattern of the uid or the label; null: any  $5 kind; null: any
-- $6 true: archived, false: in use, null: both
select tag_id, uid, label, kind, destination_url, created_at, archived_at
from tags
where
    team_id = $1 and uid collate "C" > $2
    and ($4::text is null or uid ilike $4 or label ilike $4)
    and ($5::text is null or kind = $5)
    and ($6::boolean is null or (archived_at is not null) = $6)
order by uid collate "C"
limit $3
