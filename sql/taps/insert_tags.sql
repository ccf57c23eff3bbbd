-- taps.insert_tags
-- Adds the tags that the team does not have yet. Runs after taps.lock_team, which makes the next
-- tag_id ours alone.
-- $1 team_id  $2 uids  $3 labels  $4 kinds  $5 created_ats
with last as (
    select coalesce(max(tag_id), 0) as tag_id from tags where team_id = $1
), fresh as (
    select offered.*, row_number() over (order by nth)::integer as n
    from unnest($2::text[], $3::text[], $4::text[], $5::timestamptz[])
        with ordinality as offered (uid, label, kind, created_at, nth)
    where not exists (select from tags where tags.team_id = $1 and tags.uid = offered.uid)
)
insert into tags (team_id, tag_id, uid, label, kind, created_at)
select $1, last.tag_id + fresh.n, uid, label, kind, created_at
from fresh cross join last
