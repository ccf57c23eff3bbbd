-- What a team needs to run itself: requests that change keys and tags, the record of what was done to keys,
-- and secrets that can be replaced.

alter table api_keys
    add column created_by uuid,
    add column replaces uuid,
    add column last_used_at timestamptz,
    add column rotated_at timestamptz,
    add column expires_at_before timestamptz;

comment on column api_keys.created_by is 'the key that made it; null: the command line';
comment on column api_keys.replaces is 'the key in whose place it was made';
comment on column api_keys.rotated_at is 'when another key was made in its place; null: none was';
comment on column api_keys.expires_at_before is 'expires_at as it was before the key was rotated: that of the key in its place';
comment on column api_keys.last_used_at is 'written once a minute for the keys that were used';

create policy api_keys_of_app on api_keys for select to tap_app
    using (team_id = nullif(current_setting('app.team_id', true), '')::integer);
create policy api_keys_made_by_app on api_keys for insert to tap_app
    with check (team_id = nullif(current_setting('app.team_id', true), '')::integer);
-- What is revoked stays so.
create policy api_keys_changed_by_app on api_keys for update to tap_app
    using (
        team_id = nullif(current_setting('app.team_id', true), '')::integer and revoked_at is null
    )
    with check (team_id = nullif(current_setting('app.team_id', true), '')::integer);

-- Keys are forgotten only long after they have ended.
drop policy api_keys_of_system on api_keys;
create policy api_keys_of_system on api_keys for select to tap_system using (true);
create policy api_keys_made_by_system on api_keys for insert to tap_system with check (true);
create policy api_keys_changed_by_system on api_keys for update to tap_system using (true);
create policy api_keys_forgotten_by_system on api_keys for delete to tap_system
    using (least(revoked_at, expires_at) < now() - interval '399 days');

-- Every column but key_hash: a request has no use for it.

grant select (
    team_id, key_id, prefix, created_at, name, scopes, queries_per_hour, expires_at, revoked_at,
    created_by, replaces, last_used_at, rotated_at, expires_at_before
) on api_keys to tap_app;
grant
    insert,
    update (name, scopes, queries_per_hour, expires_at, revoked_at, rotated_at, expires_at_before)
    on api_keys to tap_app;
grant update (last_used_at), delete on api_keys to tap_system;

-- Append only: whoever changes a key leaves a row, and cannot take it back.
create table key_events (
    team_id      integer     not null,
    -- Grows with time.
    event_id     uuid        not null,
    occurred_at  timestamptz not null default now(),
    key_id       uuid        not null,
    actor_key_id uuid,
    action       text        not null,
    changes      jsonb       not null,

    constraint key_events_pkey primary key (team_id, event_id),
    constraint key_events_team_fkey foreign key (team_id) references teams (team_id),
    constraint key_events_action_check check (action in ('created', 'updated', 'rotated', 'revoked'))
);

create index key_events_key_idx on key_events (team_id, key_id, event_id);
create index key_events_occurred_at_idx on key_events (occurred_at);

comment on table key_events is 'what was done to keys, by whom and when; kept for 400 days';
comment on column key_events.actor_key_id is 'the key by which it was done; null: the command line';
comment on column key_events.changes is 'what is different since: an array of {field, before, after}, all texts';

alter table key_events enable row level security;

create policy key_events_of_app on key_events to tap_app
    using (team_id = nullif(current_setting('app.team_id', true), '')::integer)
    with check (team_id = nullif(current_setting('app.team_id', true), '')::integer);
create policy key_events_of_system on key_events for select to tap_system using (true);
create policy key_events_made_by_system on key_events for insert to tap_system with check (true);
create policy key_events_forgotten_by_system on key_events for delete to tap_system
    using (occurred_at < now() - interval '399 days');

grant select, insert on key_events to tap_app;
grant select, insert, delete on key_events to tap_system;

-- What was answered to requests that must not be done twice.
create table requests (
    team_id     integer     not null,
    request_id  uuid        not null,
    created_at  timestamptz not null default now(),
    fingerprint bytea       not null,
    answer      bytea       not null,

    constraint requests_pkey primary key (team_id, request_id),
    constraint requests_team_fkey foreign key (team_id) references teams (team_id),
    constraint requests_fingerprint_check check (octet_length(fingerprint) = 32)
);

create index requests_created_at_idx on requests (created_at);

comment on table requests is 'answers to requests that may be repeated; kept for a week';
comment on column requests.request_id is 'chosen by the caller';
comment on column requests.fingerprint is 'blake3 of who asked for what: the same request_id for anything else is refused';
comment on column requests.answer is 'the encoded response; of a new key without the key';

alter table requests enable row level security;

create policy requests_of_app on requests to tap_app
    using (team_id = nullif(current_setting('app.team_id', true), '')::integer)
    with check (team_id = nullif(current_setting('app.team_id', true), '')::integer);
create policy requests_of_system on requests to tap_system using (true);

grant select, insert, update (answer) on requests to tap_app;
grant select, delete on requests to tap_system;

-- Pages of tags are in the order of bytes, whatever the database goes by.
create index tags_uid_page_idx on tags (team_id, uid collate "C");

-- Tags are made and changed by requests of their team.
create policy tags_made_by_app on tags for insert to tap_app
    with check (team_id = nullif(current_setting('app.team_id', true), '')::integer);
create policy tags_changed_by_app on tags for update to tap_app
    using (team_id = nullif(current_setting('app.team_id', true), '')::integer)
    with check (team_id = nullif(current_setting('app.team_id', true), '')::integer);
create policy teams_changed_by_app on teams for update to tap_app
    using (team_id = nullif(current_setting('app.team_id', true), '')::integer)
    with check (team_id = nullif(current_setting('app.team_id', true), '')::integer);

grant insert, update (label, kind, destination_url, archived_at) on tags to tap_app;
grant update (tags_revision) on teams to tap_app;

-- What tokens of browsers are signed with: 'signing.<id>'. The newest signs, after a minute in which all
-- replicas have learned of it; older ones are good for checking only.
alter table secrets add column created_at timestamptz not null default now();

comment on column secrets.created_at is 'a new secret signs a minute after this';

create policy secrets_made_by_system on secrets for insert to tap_system with check (name like 'signing.%');
create policy secrets_dropped_by_system on secrets for delete to tap_system using (name like 'signing.%');

grant insert, delete on secrets to tap_system;

insert into secrets (name, secret)
values (
    'signing.' || gen_random_uuid()::text,
    sha256(convert_to(gen_random_uuid()::text || gen_random_uuid()::text, 'UTF8'))
);
