-- coupons.get_redemption
-- One redemption.
-- $1 team_id  $2 redemption_id
select
    redemption_id, redemptions.coupon_id, couponcode, redeemed_at, released_at, key_id, tap_id, request_id, subject,
    tag_id, (select uid from tags where tags.team_id = $1 and tags.tag_id = redemptions.tag_id) as tag_uid
from redemptions join coupons on coupons.team_id = $1 and coupons.coupon_id = redemptions.coupon_id
where redemptions.team_id = $1 and redemption_id = $2
