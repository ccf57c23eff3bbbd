-- events.put_settings
-- Changes what the team takes; null stays as it is.
-- $1 team_id  $2 unknown_types  $3 unknown_sessions
insert into event_settings as settings (team_id, unknown_types, unknown_sessions)
values ($1, coalesce($2, 'accept'), coalesce($3, 'refuse'))
on conflict (team_id) do update set
    unknown_types = coalesce($2, settings.unknown_types),
    unknown_sessions = coalesce($3, settings.unknown_sessions)
returning unknown_types, unknown_sessions
