-- db.load_secret
-- The secret that all replicas share.
select secret from secrets where name = 'tokens'
