-- The same redemptions, counted in three ways, and the coupons of which these do not agree.
with ledger as (
    select coupon_id, count(*) as redemptions from redemptions where released_at is null group by coupon_id
), quarters as (
    select coupon_id, sum(redemptions)::bigint as redemptions from redemption_quarters group by coupon_id
)
select
    (select coalesce(sum(redemptions), 0)::bigint from ledger) as ledger,
    (select coalesce(sum(redemptions), 0)::bigint from quarters) as quarters,
    (select coalesce(sum(redeemed), 0)::bigint from coupons) as counted,
    (
        select count(*)
        from coupons left join ledger using (coupon_id) left join quarters using (coupon_id)
        where
            redeemed is distinct from coalesce(ledger.redemptions, 0)
            or redeemed is distinct from coalesce(quarters.redemptions, 0)
    ) as wrong
