-- taps.make_partition
-- Makes the partition of a month unless it is there.
-- $1 any day of the month
select make_tap_partition($1)
