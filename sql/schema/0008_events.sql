-- Events: what happens in the visit after a tap.
--
-- An event is taken into event_inbox, which answers for it, and leaves it in one transaction: as a row of
-- events, of event_duplicates or of event_errors, and as one more in event_outcomes. event_received counts
-- what was taken, event_outcomes what became of it. They are two tables so that taking never waits for
-- storing.

create table event_settings (
    team_id          integer not null,
    unknown_types    text    not null default 'accept',
    unknown_sessions text    not null default 'refuse',

    constraint event_settings_pkey primary key (team_id),
    constraint event_settings_team_fkey foreign key (team_id) references teams (team_id),
    constraint event_settings_unknown_types_check check (unknown_types in ('accept', 'refuse')),
    constraint event_settings_unknown_sessions_check check (unknown_sessions in ('create', 'refuse'))
);

comment on table event_settings is 'what teams take; a team without a row: the defaults';
comment on column event_settings.unknown_types is 'events of a category and name that have no event type';
comment on column event_settings.unknown_sessions is 'events of a session that was not made';

create table event_heads (
    team_id  integer not null,
    revision bigint  not null default 0,

    constraint event_heads_pkey primary key (team_id)
);

comment on table event_heads is 'locked by whoever stores events of a team: one at a time';
comment on column event_heads.revision is
    'raised with each event that is stored, in commit order: streams resume from it';

create table sessions (
    team_id     integer     not null,
    session_id  uuid        not null,
    created_at  timestamptz not null,
    tap_id      uuid,
    key_id      uuid        not null,
    application text        not null,

    constraint sessions_pkey primary key (team_id, session_id)
);

create index sessions_created_at_idx on sessions (team_id, created_at, session_id);
create index sessions_tap_idx on sessions (team_id, tap_id, created_at, session_id) where tap_id is not null;

comment on table sessions is 'visits; never deleted';
comment on column sessions.session_id is 'chosen by whoever makes it';
comment on column sessions.tap_id is 'the tap that it came from; not looked up, as taps may come later and may be dropped';
comment on column sessions.key_id is 'the key that made it';
comment on column sessions.application is 'the name of that key at that time';

create table event_types (
    team_id    integer     not null,
    category   text        not null,
    name       text        not null,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    schema     json        not null,
    version    uuid        not null,

    constraint event_types_pkey primary key (team_id, category, name),
    constraint event_types_team_fkey foreign key (team_id) references teams (team_id)
);

create index event_types_page_idx on event_types (team_id, category collate "C", name collate "C");

comment on table event_types is 'what the data of events must be like';
comment on column event_types.schema is 'JSON Schema, as it was sent';
comment on column event_types.version is 'another one after each change: what was compiled of it is kept by it';

create table event_inbox (
    team_id     integer     not null,
    batch_id    uuid        not null,
    received_at timestamptz not null,
    key_id      uuid        not null,
    application text        not null,
    events      integer     not null,
    bytes       integer     not null,
    payload     text        not null,
    replay_of   uuid[],
    attempts    integer     not null default 0,
    next_try_at timestamptz not null,

    constraint event_inbox_pkey primary key (team_id, batch_id),
    constraint event_inbox_events_check check (events between 1 and 1000),
    constraint event_inbox_replay_of_check check (cardinality(replay_of) = events)
)
-- Rows come and go: what they leave is to be cleaned up soon.
with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000, toast.autovacuum_vacuum_scale_factor = 0, toast.autovacuum_vacuum_threshold = 5000);

-- Gone in a moment: not worth compressing, and looking at the rest of a row must not read it.
alter table event_inbox alter column payload set storage external;

comment on table event_inbox is 'batches of events that are taken and not stored yet';
comment on column event_inbox.batch_id is
    'a UUID that grows with time; the receipt of event n of the batch is this plus n, in its last ten bits';
comment on column event_inbox.events is 'how many';
comment on column event_inbox.bytes is 'length of payload';
comment on column event_inbox.payload is 'a JSON array of the events as they were sent';
comment on column event_inbox.replay_of is 'the event errors that they are sent again from; null: from none';
comment on column event_inbox.attempts is 'how often storing it has failed';

create table events (
    team_id      integer     not null,
    event_id     uuid        not null,
    revision     bigint      not null,
    received_at  timestamptz not null,
    stored_at    timestamptz not null,
    receipt_id   uuid        not null,
    key_id       uuid        not null,
    application  text        not null,
    content_hash bytea       not null,
    session_id   uuid        not null,
    category     text        not null,
    name         text        not null,
    bytes        integer     not null,
    data         json        not null,
    occurred_at  timestamptz not null,
    updated_at   timestamptz,
    deleted_at   timestamptz,
    version      integer     not null default 1,

    constraint events_pkey primary key (team_id, event_id),
    constraint events_category_check check (length(category) between 1 and 50),
    constraint events_name_check check (length(name) between 1 and 150),
    constraint events_data_check check (json_typeof(data) = 'object' and (data::text <> '{}' or deleted_at is not null)),
    constraint events_content_hash_check check (octet_length(content_hash) = 16)
);

create unique index events_revision_idx on events (team_id, revision);
create index events_receipt_idx on events (team_id, receipt_id);
create index events_occurred_at_idx on events (team_id, occurred_at, revision) where deleted_at is null;
create index events_session_idx on events (team_id, session_id, occurred_at, revision) where deleted_at is null;
create index events_category_idx on events (team_id, category, occurred_at, revision) where deleted_at is null;

comment on table events is 'every event; a deleted one stays as a row without data, so that its id stays taken';
comment on column events.event_id is 'chosen by whoever sends it, or the receipt';
comment on column events.revision is 'of event_heads when it was stored';
comment on column events.received_at is 'when it was taken';
comment on column events.content_hash is 'the first half of blake3 of what was sent: the same event_id with the same is a duplicate';
comment on column events.session_id is 'of sessions; not a foreign key, as sessions are never deleted and it was just looked up';
comment on column events.bytes is 'length of data';
comment on column events.data is 'in one form, with sorted names; json, as jsonb writes 1e308 in 309 digits';
comment on column events.version is 'raised with each change';

create table event_duplicates (
    team_id     integer     not null,
    receipt_id  uuid        not null,
    event_id    uuid        not null,
    received_at timestamptz not null,

    constraint event_duplicates_pkey primary key (team_id, receipt_id)
);

comment on table event_duplicates is 'receipts of events that were stored before';

create table event_errors (
    team_id         integer     not null,
    error_id        uuid        not null,
    received_at     timestamptz not null,
    rejected_at     timestamptz not null,
    key_id          uuid        not null,
    application     text        not null,
    fingerprint     bytea       not null,
    reasons         text[]      not null,
    fields          text[]      not null,
    violations      json        not null,
    bytes           integer     not null,
    payload         json        not null,
    replay_of       uuid,
    replayed_as     uuid,
    became_event_id uuid,
    became_error_id uuid,

    constraint event_errors_pkey primary key (team_id, error_id),
    constraint event_errors_fingerprint_check check (octet_length(fingerprint) = 16),
    constraint event_errors_reasons_check check (cardinality(reasons) > 0)
);

create index event_errors_received_at_idx on event_errors (team_id, received_at, error_id);
create index event_errors_fingerprint_idx on event_errors (team_id, fingerprint, received_at, error_id);
create index event_errors_open_idx on event_errors (team_id, received_at, error_id) where replayed_as is null;

comment on table event_errors is 'every event that was refused, whole';
comment on column event_errors.error_id is 'the receipt';
comment on column event_errors.fingerprint is 'of the application, and of fields and reasons';
comment on column event_errors.reasons is 'of the violations, in their order';
comment on column event_errors.fields is 'of the violations, in their order';
comment on column event_errors.violations is 'an array of {field, reason, description}';
comment on column event_errors.bytes is 'length of payload and violations';
comment on column event_errors.payload is 'the event as it was sent; json, as jsonb takes no text with a zero in it';
comment on column event_errors.replay_of is 'the error whose event this is, sent again; null: it was sent by an application';
comment on column event_errors.replayed_as is 'the receipt with which it was sent again; set once';
comment on column event_errors.became_event_id is 'the event that it is, once it was sent again';
comment on column event_errors.became_error_id is 'the error that it is again';

create table event_received (
    team_id integer     not null,
    minute  timestamptz not null,
    events  bigint      not null,

    constraint event_received_pkey primary key (team_id, minute)
);

comment on table event_received is 'the ledger: how many events were taken in a minute';

create table event_outcomes (
    team_id   integer     not null,
    minute    timestamptz not null,
    stored    bigint      not null,
    duplicate bigint      not null,
    rejected  bigint      not null,

    constraint event_outcomes_pkey primary key (team_id, minute)
);

comment on table event_outcomes is 'the ledger: what became of the events that were taken in a minute';

create table event_quarters (
    team_id  integer     not null,
    quarter  timestamptz not null,
    category text        not null,
    events   bigint      not null,

    constraint event_quarters_pkey primary key (team_id, quarter, category)
);

comment on table event_quarters is 'how many events of a category happened in a quarter of an hour: written with the events';
comment on column event_quarters.quarter is 'its start';

alter table event_settings enable row level security;
alter table event_heads enable row level security;
alter table sessions enable row level security;
alter table event_types enable row level security;
alter table event_inbox enable row level security;
alter table events enable row level security;
alter table event_duplicates enable row level security;
alter table event_errors enable row level security;
alter table event_received enable row level security;
alter table event_outcomes enable row level security;
alter table event_quarters enable row level security;

-- All of it is one team's, also the work in the background, which is done for one team at a time.
create policy event_settings_of_app on event_settings to tap_app
    using (team_id = nullif(current_setting('app.team_id', true), '')::integer)
    with check (team_id = nullif(current_setting('app.team_id', true), '')::integer);
create policy event_heads_of_app on event_heads to tap_app
    using (team_id = nullif(current_setting('app.team_id', true), '')::integer)
    with check (team_id = nullif(current_setting('app.team_id', true), '')::integer);
create policy sessions_of_app on sessions to tap_app
    using (team_id = nullif(current_setting('app.team_id', true), '')::integer)
    with check (team_id = nullif(current_setting('app.team_id', true), '')::integer);
create policy event_types_of_app on event_types to tap_app
    using (team_id = nullif(current_setting('app.team_id', true), '')::integer)
    with check (team_id = nullif(current_setting('app.team_id', true), '')::integer);
create policy event_inbox_of_app on event_inbox to tap_app
    using (team_id = nullif(current_setting('app.team_id', true), '')::integer)
    with check (team_id = nullif(current_setting('app.team_id', true), '')::integer);
create policy events_of_app on events to tap_app
    using (team_id = nullif(current_setting('app.team_id', true), '')::integer)
    with check (team_id = nullif(current_setting('app.team_id', true), '')::integer);
create policy event_duplicates_of_app on event_duplicates to tap_app
    using (team_id = nullif(current_setting('app.team_id', true), '')::integer)
    with check (team_id = nullif(current_setting('app.team_id', true), '')::integer);
create policy event_errors_of_app on event_errors to tap_app
    using (team_id = nullif(current_setting('app.team_id', true), '')::integer)
    with check (team_id = nullif(current_setting('app.team_id', true), '')::integer);
create policy event_received_of_app on event_received to tap_app
    using (team_id = nullif(current_setting('app.team_id', true), '')::integer)
    with check (team_id = nullif(current_setting('app.team_id', true), '')::integer);
create policy event_outcomes_of_app on event_outcomes to tap_app
    using (team_id = nullif(current_setting('app.team_id', true), '')::integer)
    with check (team_id = nullif(current_setting('app.team_id', true), '')::integer);
create policy event_quarters_of_app on event_quarters to tap_app
    using (team_id = nullif(current_setting('app.team_id', true), '')::integer)
    with check (team_id = nullif(current_setting('app.team_id', true), '')::integer);

grant select, insert, update (unknown_types, unknown_sessions) on event_settings to tap_app;
grant select, insert, update (revision) on event_heads to tap_app;
grant select, insert, update (tap_id) on sessions to tap_app;
grant select, insert, update (schema, version, updated_at), delete on event_types to tap_app;
grant select, insert, update (attempts, next_try_at), delete on event_inbox to tap_app;
grant
    select,
    insert,
    update (session_id, category, name, bytes, data, occurred_at, updated_at, deleted_at, version)
    on events to tap_app;
grant select, insert on event_duplicates to tap_app;
grant select, insert, update (replayed_as, became_event_id, became_error_id) on event_errors to tap_app;
grant select, insert, update (events) on event_received to tap_app;
grant select, insert, update (stored, duplicate, rejected) on event_outcomes to tap_app;
grant select, insert, update (events) on event_quarters to tap_app;

-- What spans teams is who has events waiting: not which.
create policy event_inbox_of_system on event_inbox for select to tap_system using (true);

grant select (team_id, batch_id, received_at, events, bytes, next_try_at) on event_inbox to tap_system;
