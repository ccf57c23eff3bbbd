-- taps.load_secret
-- What resume tokens are signed with.
select secret from secrets where name = 'tokens'
