-- The taps of one month, in the order of time, as they come in. All of it follows from hashes of n:
-- every run has the same taps. Nine of ten belong to team 1. The busiest of 200 tags has a sixth of
-- all taps, the busiest ten nearly four tenths.
-- $1 first n  $2 taps  $3 first instant of the month  $4 seconds of the month
insert into taps (team_id, revision, tap_id, tag_id, tapped_at, received_at, count, kind)
select
    case when n % 10 = 0 then 2 + (n / 10 % 3)::integer else 1 end,
    n,
    md5(n::text)::uuid,
    tag_id,
    tapped_at,
    tapped_at + interval '1 second',
    case when n % 50 = 7 then 3 else 1 end,
    case
        when n % 16 = 5 or tag_id % 4 = 3 then 'link'
        when tag_id % 4 = 2 then 'qr'
        else 'nfc'
    end
from
    generate_series($1::bigint, $1::bigint + $2::bigint - 1) as n
    cross join lateral (
        select
            (hashint8extended(n, 1) & 1048575) / 1048576.0::float8 as u,
            (hashint8extended(n, 2) & 1048575) / 1048576.0::float8 as v
    ) as chance
    cross join lateral (
        select
            1 + floor(200 * u * u * u)::integer as tag_id,
            $3::timestamptz + make_interval(secs => $4::float8 * (n - $1::bigint + v) / $2::float8) as tapped_at
    ) as tap
