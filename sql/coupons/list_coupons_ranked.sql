-- coupons.list_coupons_ranked
-- A page of coupons in an order that is made for each: by a number, then a text, then the id.
-- As many as take no more than 1 MiB together, and at least one; `found` is how many there are without that bound.
-- $1 team_id  $2 at most  $3 now  $4 VALID, INVALID or a state; null: any  $5 category; null: any
-- $6 merchant; null: any  $7 code_key; null: any  $8 tag_id; null: any  $9 archived ones, too
-- $10, $11 latitude and longitude of a point; null: none  $12 kilometres from there at most
-- $13 newest, expiring, published, title or nearest
-- $14, $15, $16 number, text and coupon_id of the last one before; null: none
with found as (
    select
        coupons.*,
        -- Along a great circle of a sphere of the mean radius of the earth. Between no two points there is none, and
        -- least(1, null) is 1.
        case when $10::double precision is not null and store_lat is not null then
            2 * 6371.0088 * asin(least(1, sqrt(
                power(sin(radians(store_lat - $10) / 2), 2)
                + cos(radians($10)) * cos(radians(store_lat)) * power(sin(radians(store_long - $11) / 2), 2)
            )))
        end as distance_km
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
), ranked as (
    select
        found.*,
        case $13::text
            when 'newest' then -extract(epoch from created_at) * 1000000
            -- Later than all dates that there are.
            when 'expiring' then coalesce(extract(epoch from expire_at) * 1000000, 9e18)
            when 'published' then coalesce(-extract(epoch from published_at) * 1000000, 9e18)
            when 'nearest' then round((distance_km * 1000000)::numeric)
            else 0
        end::bigint as rank_number,
        case $13 when 'title' then lower(title) else '' end as rank_text
    from found
    where $10::double precision is null or distance_km <= $12::double precision
), page as (
    select coupon_id, distance_km, rank_number, rank_text,
        octet_length(couponcode) + octet_length(category) + octet_length(title) + octet_length(description)
            + octet_length(merchant) + octet_length(store_city) + octet_length(store_phone) + octet_length(store_state)
            + octet_length(store_street) + octet_length(store_zip) + octet_length(metadata::text)
            -- Names, dates and numbers; uids of up to 64 characters.
            + 600 + 67 * cardinality(tag_ids) as bytes
    from ranked
    where
        $14::bigint is null
        or (rank_number, rank_text collate "C", coupon_id) > ($14, $15::text collate "C", $16::uuid)
    order by rank_number, rank_text collate "C", coupon_id
    limit $2
), measured as (
    select
        coupon_id, distance_km, rank_number, rank_text,
        count(*) over () as found,
        sum(bytes) over (order by rank_number, rank_text collate "C", coupon_id) - bytes as before
    from page
)
select coupon_id, distance_km, rank_number, rank_text, found
from measured
where before < 1048576
order by rank_number, rank_text collate "C", coupon_id
