-- events.get_settings
-- What the team takes. No row: the defaults.
-- $1 team_id
select unknown_types, unknown_sessions from event_settings where team_id = $1
