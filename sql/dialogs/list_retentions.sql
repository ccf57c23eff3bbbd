-- dialogs.list_retentions
-- Who keeps messages for a time only. As tap_system.
-- $1 nothing before this team
select team_id, redact_after_days, delete_after_days
from dialog_settings
where (redact_after_days > 0 or delete_after_days > 0) and team_id > $1
order by team_id
limit 1000
