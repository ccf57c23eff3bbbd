-- taps.find_taps
-- Those of the given taps that are there already, by their place in the list from 1.
-- $1 team_id  $2 tap_ids  $3 tapped_ats
select
    offered.nth,
    taps.revision,
    taps.tap_id,
    taps.tag_id,
    taps.tapped_at,
    taps.received_at,
    taps.count,
    taps.kind,
    taps.class,
    taps.country,
    taps.device,
    taps.attributes::text as attributes
from
    unnest($2::uuid[], $3::timestamptz[]) with ordinality as offered (tap_id, tapped_at, nth)
    -- A look into the primary key for each, whatever the planner thinks of the length of the list.
    cross join lateral (
        select * from taps
        where taps.team_id = $1 and taps.tapped_at = offered.tapped_at and taps.tap_id = offered.tap_id
        limit 1
    ) as taps
