-- imports.insert_import
-- Notes that an import is committed.
-- $1 team_id  $2 import_id  $3 kind  $4 region  $5 created_at  $6 committed_at  $7 key_id  $8 total  $9 left_out
-- $10 inserted  $11 updated  $12 unchanged  $13 conflicts
insert into imports (
    team_id, import_id, kind, region, created_at, committed_at, key_id, total, left_out,
    inserted, updated, unchanged, conflicts
)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
