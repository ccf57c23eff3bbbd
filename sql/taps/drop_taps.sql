-- taps.drop_taps
-- Drops the oldest month of taps that ends on or before a day, with its roll-up.
-- $1 the first day that is kept
select drop_oldest_taps($1) as dropped
