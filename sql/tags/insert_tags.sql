-- tags.insert_tags
-- Adds the tags that the team does not have yet, and says which these were. Runs after tags.lock_team,
-- which makes the next tag_id ours alone.
-- $1 team_id  $2 uids  $3 labels  $4 kinds  $5 created_ats  $6 destination_urls
with last as (
    select coalesce(max(tag_id), 0) as tag_id from tags where team_id = $1
), fresh as (
    select offered.*, row_number() over (order by nth)::integer as n
    from unnest($2::text[], $3::text[], $4::text[], $5::timestamptz[], $6::text[])
        with ordinality as offered (uid, label, kind, created_at, destination_url, nth)
    where not exists (select from tags where tags.team_id = $1 and tags.uid = offered.uid)
), added as (
    insert into tags (team_id, tag_id, uid, label, kind, created_at, destination_url)
    select $1, last.tag_id + fresh.n, uid, label, kind, created_at, destination_url
    from fresh cross join last
    returning tag_id, uid
), changed as (
    update teams set tags_revision = tags_revision + 1 where team_id = $1 and exists (select from fresh)
)
select tag_id, uid from added
