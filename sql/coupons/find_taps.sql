-- coupons.find_taps
-- The tags of those of these taps that were recorded, and tapped at this instant or after it.
-- $1 team_id  $2 tap_ids  $3 tapped_at
select distinct on (tap_id) tap_id, tag_id
from taps
where team_id = $1 and tap_id = any ($2::uuid[]) and tapped_at >= $3
order by tap_id, tapped_at desc
