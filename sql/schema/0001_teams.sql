-- A team: the owner of everything else. Every table has team_id first in its primary key, every
-- statement names its team, and every table is distributed by it on Citus. Hence no unique key, no
-- foreign key and no statement that would have to look at two teams.
create table teams (
    -- Immutable.
    team_id    integer     not null,
    slug       text        not null,
    created_at timestamptz not null default now(),
    -- Mutable.
    name       text        not null,
    revision   bigint      not null default 0,

    constraint teams_pkey primary key (team_id),
    constraint teams_team_id_check check (team_id > 0),
    constraint teams_slug_check check (slug ~ '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$'),
    constraint teams_name_check check (length(name) between 1 and 200)
);

comment on table teams is 'the owners of everything else';
comment on column teams.slug is
    'the name in commands and addresses; unique: create_team takes a lock, as a unique key would need team_id';
comment on column teams.revision is
    'raised with each tap, in commit order: streams resume from it, caches are valid for it, answers say which one they counted';

alter table teams enable row level security;

create policy teams_of_app on teams for select to tap_app
    using (team_id = nullif(current_setting('app.team_id', true), '')::integer);
create policy teams_of_system on teams to tap_system using (true);

grant select on teams to tap_app;
grant select, insert, update (name, revision) on teams to tap_system;
