-- imports.list_imports
-- A page of imports that are committed, the newest first.
-- $1 team_id  $2 at most  $3, $4 created_at and import_id of the last one before; null: none
select
    import_id, kind, region, created_at, committed_at, total, left_out, inserted, updated, unchanged, conflicts
from imports
where team_id = $1 and ($3::timestamptz is null or (created_at, import_id) < ($3, $4::uuid))
order by created_at desc, import_id desc
limit $2
