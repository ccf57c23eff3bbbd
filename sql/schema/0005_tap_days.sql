-- The roll-up that queries read: taps by tag, kind, UTC day and quarter of an hour. Every offset of
-- every zone since 2000 is a multiple of 15 minutes, so quarters can be folded into the civil hours,
-- days, weeks and months of any zone.
--
-- Written in the transaction that writes the taps: at any committed moment the sum of totals is the
-- sum of taps.count, for each tag and for the team.
create table tap_days (
    team_id  integer   not null,
    tag_id   integer   not null,
    day      date      not null,
    kind     text      not null,
    total    bigint    not null,
    quarters integer[] not null,
    running  bigint[]  not null,

    constraint tap_days_pkey primary key (team_id, tag_id, day, kind),
    constraint tap_days_running_check check (cardinality(quarters) = cardinality(running))
) with (fillfactor = 80); -- room for updates that touch no index

comment on table tap_days is 'taps by tag, kind, UTC day and quarter of an hour';
comment on column tap_days.tag_id is 'of tags; 0 is the whole team';
comment on column tap_days.day is 'the UTC day';
comment on column tap_days.total is 'the last of running';
comment on column tap_days.quarters is 'the quarters that have taps, ascending: 0 is 00:00 to 00:15 UTC, 95 is the last; most days of most tags have few';
comment on column tap_days.running is 'for each of quarters: the taps of the day up to its end, so that a day is split by looking up one number; bigint, as one batch of taps can exceed an integer';

alter table tap_days enable row level security;

create policy tap_days_of_app on tap_days for select to tap_app
    using (team_id = nullif(current_setting('app.team_id', true), '')::integer);
create policy tap_days_of_system on tap_days to tap_system using (true);

grant select on tap_days to tap_app;
grant select, insert, update (total, quarters, running) on tap_days to tap_system;
