-- coupons.insert_coupons
-- Adds coupons. Runs after coupons.lock_codes.
-- $1 team_id  $2 created_at  $3 coupon_ids  $4 couponcodes  $5 code_keys  $6 categories  $7 titles
-- $8 descriptions  $9 merchants  $10 store_lats  $11 store_longs  $12 store_cities  $13 store_phones
-- $14 store_states  $15 store_streets  $16 store_zips  $17 published_ats  $18 expire_ats
-- $19 tag_ids, each an array as text  $20 max_redemptions  $21 max_per_subjects  $22 disableds
-- $23 metadata, each an object as text
insert into coupons (
    team_id, created_at, updated_at, coupon_id, couponcode, code_key, category, title, description, merchant,
    store_lat, store_long, store_city, store_phone, store_state, store_street, store_zip,
    published_at, expire_at, tag_ids, max_redemptions, max_per_subject, disabled, metadata
)
select
    $1, $2, $2, coupon_id, couponcode, code_key, category, title, description, merchant,
    store_lat, store_long, store_city, store_phone, store_state, store_street, store_zip,
    published_at, expire_at, tag_ids::integer[], max_redemptions, max_per_subject, disabled, metadata::json
from unnest(
    $3::uuid[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[],
    $10::double precision[], $11::double precision[], $12::text[], $13::text[], $14::text[], $15::text[], $16::text[],
    $17::timestamptz[], $18::timestamptz[], $19::text[], $20::integer[], $21::integer[], $22::boolean[], $23::text[]
) as new (
    coupon_id, couponcode, code_key, category, title, description, merchant,
    store_lat, store_long, store_city, store_phone, store_state, store_street, store_zip,
    published_at, expire_at, tag_ids, max_redemptions, max_per_subject, disabled, metadata
)
