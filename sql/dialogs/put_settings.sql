-- dialogs.put_settings
-- Sets what customers of a team agree to, and how long it is kept.
-- $1 team_id  $2 purpose  $3 policy_version  $4 policy_hash  $5 redact_after_days  $6 delete_after_days
insert into dialog_settings (team_id, purpose, policy_version, policy_hash, redact_after_days, delete_after_days)
values ($1, $2, $3, $4, $5, $6)
on conflict (team_id) do update set
    purpose = excluded.purpose,
    policy_version = excluded.policy_version,
    policy_hash = excluded.policy_hash,
    redact_after_days = excluded.redact_after_days,
    delete_after_days = excluded.delete_after_days
