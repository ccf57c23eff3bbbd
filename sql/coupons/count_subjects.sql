-- coupons.count_subjects
-- How often these subjects have redeemed these coupons, without what was given back. Those who never did are left
-- out.
-- $1 team_id  $2 coupon_ids  $3 subjects, no pair twice
select asked.coupon_id, asked.subject, count(*) as redeemed
from unnest($2::uuid[], $3::text[]) as asked (coupon_id, subject)
join redemptions on
    team_id = $1
    and redemptions.coupon_id = asked.coupon_id
    and redemptions.subject = asked.subject
    and redemptions.subject <> ''
    and released_at is null
group by asked.coupon_id, asked.subject
