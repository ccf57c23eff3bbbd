-- One redemption by bare statements, for pgbench: of one of so many coupons, by somebody. Nothing is looked at but
-- what the update asks for: neither whether the request was made before, nor whose subject it is.
\set coupon random(1, :coupons)
\set subject random(1, 1000000)
begin;
update coupons set redeemed = redeemed + 1
where
    team_id = 1 and coupon_id = lpad(to_hex(:coupon::integer), 32, '0')::uuid
    and (max_redemptions is null or redeemed < max_redemptions)
    and not disabled and archived_at is null
    and (published_at is null or published_at <= now())
    and (expire_at is null or expire_at > now());
insert into redemptions (
    team_id, redemption_id, coupon_id, redeemed_at, key_id, tag_id, tap_id, request_id, subject
)
values (
    1, gen_random_uuid(), lpad(to_hex(:coupon::integer), 32, '0')::uuid, now(),
    '00000000-0000-0000-0000-000000000001', 0, null, gen_random_uuid(), md5(:subject::text)
);
insert into redemption_quarters as counted (team_id, quarter, coupon_id, tag_id, redemptions)
values (
    1, date_bin('15 minutes', now(), timestamptz '2000-01-01 00:00:00Z'),
    lpad(to_hex(:coupon::integer), 32, '0')::uuid, 0, 1
)
on conflict (team_id, quarter, coupon_id, tag_id)
do update set redemptions = counted.redemptions + excluded.redemptions;
commit;
