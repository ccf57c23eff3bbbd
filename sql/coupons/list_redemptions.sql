-- coupons.list_redemptions
-- A page of redemptions, the newest first.
-- $1 team_id  $2 at most  $3 coupon_id; null: any  $4 true: given back, false: not, null: both
-- $5, $6 redeemed_at and redemption_id of the last one before; null: none
select
    redemption_id, redemptions.coupon_id, couponcode, redeemed_at, released_at, key_id, tap_id, request_id, subject,
    tag_id, (select uid from tags where tags.team_id = $1 and tags.tag_id = redemptions.tag_id) as tag_uid
from redemptions join coupons on coupons.team_id = $1 and coupons.coupon_id = redemptions.coupon_id
where
    redemptions.team_id = $1
    and ($3::uuid is null or redemptions.coupon_id = $3)
    and ($4::boolean is null or (released_at is not null) = $4)
    and ($5::timestamptz is null or (redeemed_at, redemption_id) < ($5, $6::uuid))
order by redeemed_at desc, redemption_id desc
limit $2
