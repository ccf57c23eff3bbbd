-- taps.write_taps
-- Stores taps that are not there yet, adds them to the roll-up and raises the team's revision. Runs in a
-- transaction that has locked the team (taps.lock_team), so that no other writer of this team is between
-- its base revision and its commit. Fails as a whole when one of the taps is there: looking first
-- (taps.find_taps) costs as much as the insert, and taps are rarely sent twice.
-- $1 team_id  $2 base revision  $3 received_at
-- The taps: $4 tap_ids  $5 tag_ids  $6 tapped_ats  $7 counts  $8 kinds  $9 classes; null: all human
-- $10 countries  $11 devices  $12 attributes, JSON; null: none has any
-- Their roll-up, for each tag and for the team as tag 0: $13 tag_ids  $14 days  $15 kinds  $16 classes
-- $17 totals  $18 quarters of the day that have taps  $19 their running counts; both as array literals
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
), days as (
    insert into tap_days (team_id, tag_id, day, kind, class, total, quarters, running)
    select $1, tag_id, day, kind, class, total, quarters::integer[], running::bigint[]
    from unnest(
        $13::integer[], $14::date[], $15::text[], $16::text[], $17::bigint[], $18::text[], $19::text[]
    ) as days (tag_id, day, kind, class, total, quarters, running)
    on conflict (team_id, tag_id, day, kind, class) do update set
        total = tap_days.total + excluded.total,
        -- Mostly taps come in order: what is new goes to the end, perhaps into the last quarter.
        quarters = case
            when excluded.quarters[1] = tap_days.quarters[cardinality(tap_days.quarters)]
                then tap_days.quarters || excluded.quarters[2:]
            when excluded.quarters[1] > tap_days.quarters[cardinality(tap_days.quarters)]
                then tap_days.quarters || excluded.quarters
            else array(
                select unnest(tap_days.quarters) union select unnest(excluded.quarters) order by 1
            )
        end,
        running = case
            when excluded.quarters[1] >= tap_days.quarters[cardinality(tap_days.quarters)]
                then
                    tap_days.running[: width_bucket(excluded.quarters[1] - 1, tap_days.quarters)]
                    || array(
                        select tap_days.total + more
                        from unnest(excluded.running) with ordinality as more (more, nth)
                        order by nth
                    )
            -- width_bucket says how many quarters of a day are not after one: where its running count is.
            else array(
                select
                    coalesce(tap_days.running[width_bucket(at, tap_days.quarters)], 0)
                    + coalesce(excluded.running[width_bucket(at, excluded.quarters)], 0)
                from (
                    select unnest(tap_days.quarters) union select unnest(excluded.quarters)
                ) as either (at)
                order by at
            )
        end
)
update teams set revision = $2 + cardinality($4::uuid[]) where team_id = $1
