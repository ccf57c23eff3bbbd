-- coupons.insert_redemptions
-- Adds redemptions, and says which: all but those whose request_id somebody else took in this moment. Runs after
-- coupons.lock_terms.
-- Whoever takes several takes them in one order.
-- $1 team_id  $2 redeemed_at  $3 redemption_ids  $4 coupon_ids  $5 key_ids  $6 tag_ids  $7 tap_ids  $8 request_ids
-- $9 subjects
insert into redemptions (
    team_id, redeemed_at, redemption_id, coupon_id, key_id, tag_id, tap_id, request_id, subject
)
select $1, $2, new.*
from unnest($3::uuid[], $4::uuid[], $5::uuid[], $6::integer[], $7::uuid[], $8::uuid[], $9::text[])
    as new (redemption_id, coupon_id, key_id, tag_id, tap_id, request_id, subject)
order by request_id
on conflict (team_id, request_id) do nothing
returning redemption_id
