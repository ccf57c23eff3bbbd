-- taps.write_taps
-- Stores the taps that are not there yet, adds them to the roll-up and raises the team's revision.
-- Runs in a transaction that has locked the team (taps.lock_team), so that no other writer of this
-- team is between its base revision and its commit.
-- $1 team_id  $2 received_at  $3 tap_ids  $4 tag_ids  $5 tapped_ats  $6 counts  $7 kinds
with base as (
    select revision from teams where team_id = $1
), offered as (
    select *
    from unnest($3::uuid[], $4::integer[], $5::timestamptz[], $6::integer[], $7::text[])
        with ordinality as offered (tap_id, tag_id, tapped_at, count, kind, nth)
), fresh as (
    insert into taps (team_id, revision, tap_id, tag_id, tapped_at, received_at, count, kind)
    select $1, base.revision + offered.nth, tap_id, tag_id, tapped_at, $2, count, kind
    from offered cross join base
    on conflict (team_id, tapped_at, tap_id) do nothing
    returning revision, tag_id, kind, count, floor(date_part('epoch', tapped_at) / 900)::bigint as quarter
), quarters as (
    -- For each tag, and for the team as tag 0.
    select
        coalesce(tag_id, 0) as tag_id,
        kind,
        quarter / 96 as day,
        (quarter % 96)::integer as at,
        sum(count)::bigint as count
    from fresh
    group by grouping sets ((tag_id, kind, quarter), (kind, quarter))
), running as (
    select *, sum(count) over (partition by tag_id, day, kind order by at)::bigint as running
    from quarters
), days as (
    insert into tap_days (team_id, tag_id, day, kind, total, quarters, running)
    select
        $1,
        tag_id,
        date '1970-01-01' + day::integer,
        kind,
        sum(count)::bigint,
        array_agg(at order by at),
        array_agg(running order by at)
    from running
    group by tag_id, day, kind
    on conflict (team_id, tag_id, day, kind) do update set
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
), raised as (
    update teams set revision = (select max(revision) from fresh)
    where team_id = $1 and exists (select from fresh)
    returning revision
)
select
    (select count(*) from fresh) as stored,
    coalesce((select revision from raised), (select revision from base)) as revision
