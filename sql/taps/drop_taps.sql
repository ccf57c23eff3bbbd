-- taps.drop_taps
-- Drops the months of taps that end on or before a day, with their roll-up.
-- $1 the first day that is kept
select drop_taps_before($1) as months
