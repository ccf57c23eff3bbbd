-- dialogs.get_settings
-- What customers of a team agree to, and how long it is kept.
-- $1 team_id
select purpose, policy_version, policy_hash, redact_after_days, delete_after_days
from dialog_settings
where team_id = $1
