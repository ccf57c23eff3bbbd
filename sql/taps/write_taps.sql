-- taps.write_taps
-- Stores taps that are not there yet, adds them to the roll-up and raises the team's revision. Runs in a
-- transaction that has locked the team (taps.lock_team), so that no other writer of this team is between
-- its base revision and its commit. Fails as a whole when one of the taps is there: looking first
-- (taps.find_taps) costs as much as the insert, and taps are rarely sent twice.
-- $1 team_id  $2 base revision  $3 received_at
-- The taps: $4 tap_ids  $5 tag_ids  $6 tapped_ats  $7 counts  $8 kinds  $9 classes; null: all human
-- $10 countries  $11 devices  $12 attributes, JSON; null: none has any
-- Their sums, for each tag and for the team as tag 0: $13 tag_ids  $14 days  $15 kinds  $16 classes
-- $17 quarters of the day, 0 to 95  $18 counts
with stored as (
    insert into taps (
        team_id, revision, tap_id, tag_id, tapped_at, received_at, count, kind, class, country, device, attributes
    )
    select
        $1,
        $2 + nth,
        tap_id,
        tag_id,
        tapped_at,
        $3,
        count,
        kind,
        coalesce(class, 'human'),
        country,
        device,
        attributes::jsonb
    from unnest(
        $4::uuid[], $5::integer[], $6::timestamptz[], $7::integer[], $8::text[], $9::text[],
        $10::text[], $11::text[], $12::text[]
    ) with ordinality as taps (
        tap_id, tag_id, tapped_at, count, kind, class, country, device, attributes, nth
    )
), running as (
    select *, sum(count) over (partition by tag_id, day, kind, class order by at)::bigint as running
    from unnest(
        $13::integer[], $14::date[], $15::text[], $16::text[], $17::integer[], $18::bigint[]
    ) as sums (tag_id, day, kind, class, at, count)
), days as (
    insert into tap_days (team_id, tag_id, day, kind, class, total, quarters, running)
    select
        $1, tag_id, day, kind, class, sum(count)::bigint, array_agg(at order by at), array_agg(running order by at)
    from running
    group by tag_id, day, kind, class
    on conflict (team_id, tag_id, day, kind, class) do update set
        total = tap_days.total + excluded.total,
        -- width_bucket says how many quarters of a day are not after one: where its running count is.
        (quarters, running) = (
            select
                array_agg(at order by at),
                array_agg(
                    coalesce(tap_days.running[width_bucket(at, tap_days.quarters)], 0)
                    + coalesce(excluded.running[width_bucket(at, excluded.quarters)], 0)
                    order by at
                )
            from (
                select unnest(tap_days.quarters) union select unnest(excluded.quarters)
            ) as either (at)
        )
)
update teams set revision = $2 + cardinality($4::uuid[]) where team_id = $1
