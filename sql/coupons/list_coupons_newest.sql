-- coupons.list_coupons_newest
-- A page of coupons, the newest first.
-- As many as take no more than 1 MiB together, and at least one; `found` is how many there are without that bound.
-- $1 team_id  $2 at most  $3 now  $4 VALID, INVALID or a state; null: any  $5 category; null: any
-- $6 merchant; null: any  $7 code_key; null: any  $8 tag_id; null: any  $9 archived ones, too
-- $10, $11 created_at and coupon_id of the last one before; null: none
with page as (
    select coupon_id, created_at,
        octet_length(couponcode) + octet_length(category) + octet_length(title) + octet_length(description)
            + octet_length(merchant) + octet_length(store_city) + octet_length(store_phone) + octet_length(store_state)
            + octet_length(store_street) + octet_length(store_zip) + octet_length(metadata::text)
            -- Names, dates and numbers; uids of up to 64 characters.
            + 600 + 67 * cardinality(tag_ids) as bytes
    from coupons
    where
        team_id = $1
        and ($4::text is null or case $4
            when 'VALID' then expire_at is null or expire_at > $3
            when 'INVALID' then expire_at <= $3
            else $4 = coupon_state(disabled, archived_at, published_at, expire_at, max_redemptions, redeemed, $3)
        end)
        and ($5::text is null or lower(category) = lower($5))
        and ($6::text is null or lower(merchant) = lower($6))
        and ($7::text is null or code_key = $7)
        and ($8::integer is null or tag_ids @> array[$8])
        and ($9::boolean or archived_at is null)
        and ($10::timestamptz is null or (created_at, coupon_id) < ($10, $11::uuid))
    order by created_at desc, coupon_id desc
    limit $2
), measured as (
    select
        coupon_id, created_at,
        count(*) over () as found,
        sum(bytes) over (order by created_at desc, coupon_id desc) - bytes as before
    from page
)
select
    coupon_id,
    null::double precision as distance_km,
    (extract(epoch from created_at) * 1000000)::bigint as rank_number,
    '' as rank_text,
    found
from measured
where before < 1048576
order by created_at desc, coupon_id desc
