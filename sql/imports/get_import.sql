-- imports.get_import
-- An import that is committed.
-- $1 team_id  $2 import_id
select
    import_id, kind, region, created_at, committed_at, total, left_out, inserted, updated, unchanged, conflicts
from imports
where team_id = $1 and import_id = $2
