-- coupons.find_tap
-- The tag of a tap, if it was recorded, and tapped at this instant or after it.
-- $1 team_id  $2 tap_id  $3 tapped_at
select tag_id from taps where team_id = $1 and tap_id = $2 and tapped_at >= $3 order by tapped_at desc limit 1
