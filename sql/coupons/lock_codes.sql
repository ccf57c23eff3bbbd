-- coupons.lock_codes
-- Makes this transaction the only one that gives codes to coupons of the team until it ends, so that they can be
-- looked up and counted.
-- $1 team_id
select pg_advisory_xact_lock(hashtext('coupons'), $1)
