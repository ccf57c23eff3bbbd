-- coupons.update_coupon
-- Changes a coupon. Runs after coupons.lock_coupon.
-- $1 team_id  $2 coupon_id  $3 updated_at  $4 couponcode  $5 code_key  $6 category  $7 title  $8 description
-- $9 merchant  $10 store_lat  $11 store_long  $12 store_city  $13 store_phone  $14 store_state  $15 store_street
-- $16 store_zip  $17 published_at  $18 expire_at  $19 tag_ids; null: as they are  $20 max_redemptions  $21 max_per_subject
-- $22 disabled  $23 metadata, an object as text
update coupons set
    version = version + 1,
    updated_at = $3,
    couponcode = $4,
    code_key = $5,
    category = $6,
    title = $7,
    description = $8,
    merchant = $9,
    store_lat = $10,
    store_long = $11,
    store_city = $12,
    store_phone = $13,
    store_state = $14,
    store_street = $15,
    store_zip = $16,
    published_at = $17,
    expire_at = $18,
    tag_ids = coalesce($19, tag_ids),
    max_redemptions = $20,
    max_per_subject = $21,
    disabled = $22,
    metadata = $23::text::json
where team_id = $1 and coupon_id = $2
