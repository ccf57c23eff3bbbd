-- One row a tap, for ever: what is counted, streamed and exported comes from here.
-- Partitioned by the month of tapped_at (UTC), so that old months can be dropped whole.
create table taps (
    team_id     integer     not null,
    revision    bigint      not null,
    tap_id      uuid        not null,
    tag_id      integer     not null,
    tapped_at   timestamptz not null,
    received_at timestamptz not null,
    count       integer     not null,
    kind        text        not null,

    -- Also what makes a retry harmless, and what serves a range of time.
    constraint taps_pkey primary key (team_id, tapped_at, tap_id),
    constraint taps_count_check check (count between 1 and 1000000),
    constraint taps_kind_check check (kind in ('nfc', 'qr', 'link'))
) partition by range (tapped_at);

-- For readers that follow a team in commit order.
create index taps_revision_idx on taps (team_id, revision);

comment on table taps is 'every tap of every team';
comment on column taps.revision is 'the team''s revision that this tap made: grows in commit order';
comment on column taps.tap_id is 'chosen by whoever reports the tap; the same tap_id and tapped_at again is the same tap';
comment on column taps.tag_id is 'of tags; not a foreign key, as tags are never deleted and the writer has just looked it up';
comment on column taps.tapped_at is 'when the tap happened, by the clock of whoever reports it';
comment on column taps.received_at is 'when it was stored, by our clock';
comment on column taps.count is 'how many taps the row stands for: every total is a sum of it';
comment on column taps.kind is 'how the tag was read this time';

alter table taps enable row level security;

create policy taps_of_app on taps for select to tap_app
    using (team_id = nullif(current_setting('app.team_id', true), '')::integer);
create policy taps_of_system on taps to tap_system using (true);

-- Partitions get no grants: they can be reached through the parent and its policies only.
grant select on taps to tap_app;
grant select, insert on taps to tap_system;

-- Makes the partition of a month unless it is there, and says whether it did.
--
-- Security definer, as only the owner can attach a partition. Attaching locks the parent only
-- against other changes of the schema; `create table ... partition of` would stop all readers.
create function make_tap_partition(month date) returns boolean
    language plpgsql security definer
    set search_path = public, pg_temp
as $$
declare
    first date := date_trunc('month', month)::date;
    name  text := 'taps_' || to_char(first, 'YYYY_MM');
begin
    if to_regclass(name) is not null then
        return false;
    end if;
    if first not between date '2000-01-01' and current_date + 366 then
        raise exception 'no partition for %: out of range', first
            using errcode = 'datetime_field_overflow';
    end if;

    -- One at a time. Whoever waited here finds the table made, but its catalog cache may not know.
    perform pg_advisory_xact_lock(hashtext('tap_analytics.make_tap_partition'));
    begin
        execute format('create table %I (like taps including defaults including constraints)', name);
    exception when duplicate_table then
        return false;
    end;
    execute format(
        'alter table taps attach partition %I for values from (%L) to (%L)',
        name,
        first::timestamp at time zone 'UTC',
        (first + interval '1 month') at time zone 'UTC'
    );
    return true;
end
$$;

comment on function make_tap_partition is 'makes the partition of a month unless it is there, and says whether it did';

revoke execute on function make_tap_partition from public;
grant execute on function make_tap_partition to tap_system;
