-- Imports: users that were uploaded, and which imports were committed.
--
-- Until an import is committed nothing of it is here. What it has is looked for by keyed hashes, so that no statement, and
-- no log of statements, has it before.

create table user_books (
    team_id integer not null,
    users   bigint  not null default 0,

    constraint user_books_pkey primary key (team_id),
    constraint user_books_team_fkey foreign key (team_id) references teams (team_id),
    constraint user_books_users_check check (users >= 0)
);

comment on table user_books is 'a row a team: whoever changes its users locks it, so that changes come one after another';
comment on column user_books.users is 'how many there are';

create table imports (
    team_id      integer     not null,
    import_id    uuid        not null,
    kind         text        not null,
    region       text        not null,
    created_at   timestamptz not null,
    committed_at timestamptz not null,
    key_id       uuid,
    total        integer     not null,
    left_out     integer     not null,
    inserted     integer     not null,
    updated      integer     not null,
    unchanged    integer     not null,
    conflicts    integer     not null,

    constraint imports_pkey primary key (team_id, import_id),
    constraint imports_team_fkey foreign key (team_id) references teams (team_id),
    constraint imports_kind_check check (kind in ('users', 'tags'))
);

create index imports_created_at_idx on imports (team_id, created_at, import_id);

comment on table imports is 'imports that were committed: in the transaction that stored their rows, so that none is twice';
comment on column imports.key_id is 'the key by which it was committed; null: by the command line';
comment on column imports.total is 'rows of the file';
comment on column imports.left_out is 'rows that were not valid, or left out by hand';
comment on column imports.conflicts is 'rows that were left out because something of them is somebody else''s';

create table users (
    team_id    integer     not null,
    user_id    uuid        not null,
    names      text        not null,
    nid        text        not null,
    phone      text        not null,
    gender     text        not null,
    email      text        not null,
    nid_hash   bytea       not null,
    phone_hash bytea       not null,
    email_hash bytea       not null,
    import_id  uuid        not null,
    created_at timestamptz not null,
    updated_at timestamptz not null,

    constraint users_pkey primary key (team_id, user_id),
    constraint users_team_fkey foreign key (team_id) references teams (team_id),
    constraint users_nid_key unique (team_id, nid_hash),
    constraint users_phone_key unique (team_id, phone_hash),
    constraint users_email_key unique (team_id, email_hash),
    constraint users_names_check check (length(names) between 1 and 200),
    constraint users_nid_check check (length(nid) between 1 and 32),
    constraint users_phone_check check (length(phone) between 2 and 16),
    constraint users_gender_check check (gender in ('M', 'F', 'O')),
    constraint users_email_check check (length(email) between 3 and 254),
    constraint users_hash_check check (
        length(nid_hash) = 16 and length(phone_hash) = 16 and length(email_hash) = 16
    )
) with (
    -- What was deleted is gone soon, also from the pages of the table.
    autovacuum_vacuum_threshold = 0,
    autovacuum_vacuum_scale_factor = 0,
    vacuum_index_cleanup = on
);

create index users_import_idx on users (team_id, import_id, user_id);

comment on table users is 'people, as they were imported';
comment on column users.user_id is 'a UUID of version 7: in the order in which they were stored';
comment on column users.phone is 'E.164';
comment on column users.email is 'in lower case';
comment on column users.nid_hash is 'half of a BLAKE3 of team, column and value, with a key that the service has';
comment on column users.import_id is 'the import that brought the latest change';

-- Who they are is not for the statistics of PostgreSQL, which keep what was deleted. No plan depends on it.
alter table users alter column names set statistics 0;
alter table users alter column nid set statistics 0;
alter table users alter column phone set statistics 0;
alter table users alter column email set statistics 0;

alter table user_books enable row level security;
alter table imports enable row level security;
alter table users enable row level security;

create policy user_books_of_app on user_books to tap_app
    using (team_id = nullif(current_setting('app.team_id', true), '')::integer)
    with check (team_id = nullif(current_setting('app.team_id', true), '')::integer);
create policy imports_of_app on imports to tap_app
    using (team_id = nullif(current_setting('app.team_id', true), '')::integer)
    with check (team_id = nullif(current_setting('app.team_id', true), '')::integer);
create policy users_of_app on users to tap_app
    using (team_id = nullif(current_setting('app.team_id', true), '')::integer)
    with check (team_id = nullif(current_setting('app.team_id', true), '')::integer);

grant select, insert, update (users) on user_books to tap_app;
grant select, insert on imports to tap_app;
grant
    select,
    insert,
    update (names, phone, gender, email, phone_hash, email_hash, import_id, updated_at),
    delete
    on users to tap_app;
