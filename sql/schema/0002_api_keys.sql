-- The keys of a team. The key itself is shown once and stored nowhere: only its hash is.
create table api_keys (
    -- Immutable.
    team_id          integer     not null,
    key_id           uuid        not null,
    key_hash         bytea       not null,
    prefix           text        not null,
    created_at       timestamptz not null default now(),
    -- Mutable.
    name             text        not null,
    scopes           text[]      not null,
    queries_per_hour integer     not null,
    expires_at       timestamptz,
    revoked_at       timestamptz,

    constraint api_keys_pkey primary key (team_id, key_id),
    constraint api_keys_key_hash_key unique (team_id, key_hash),
    constraint api_keys_team_fkey foreign key (team_id) references teams (team_id),
    constraint api_keys_key_hash_check check (octet_length(key_hash) = 32),
    constraint api_keys_name_check check (length(name) between 1 and 200),
    constraint api_keys_queries_per_hour_check check (queries_per_hour between 1 and 1000000)
);

comment on table api_keys is 'what callers prove themselves with';
comment on column api_keys.key_hash is 'blake3 of the whole key';
comment on column api_keys.prefix is 'the team and the first four characters of the secret: enough to recognise a key, useless to guess it';
comment on column api_keys.scopes is 'what the key may do, such as taps:read';
comment on column api_keys.queries_per_hour is 'size and hourly refill of the query quota';
comment on column api_keys.expires_at is 'no longer valid from this instant; null: never ends';
comment on column api_keys.revoked_at is 'set once; the row stays for the record';

alter table api_keys enable row level security;

-- tap_app has no grant and no policy here: requests are checked against the directory that tap_system
-- loads.
create policy api_keys_of_system on api_keys to tap_system using (true);

grant select, insert, update (revoked_at) on api_keys to tap_system;
