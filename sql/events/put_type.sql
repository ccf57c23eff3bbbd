-- events.put_type
-- Sets an event type.
-- $1 team_id  $2 category  $3 name  $4 schema  $5 version  $6 now
insert into event_types (team_id, category, name, schema, version, created_at, updated_at)
values ($1, $2, $3, $4::text::json, $5, $6, $6)
on conflict (team_id, category, name) do update set
    schema = excluded.schema, version = excluded.version, updated_at = excluded.updated_at
returning category, name, schema::text, created_at, updated_at, version
