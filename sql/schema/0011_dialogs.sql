-- Dialogs: what customers said to a chatbot, kept only with their consent.
--
-- That nothing is kept without consent is up to one constraint: messages_consent_fkey. A message refers to its dialog as
-- one that has consent, and as one with its customer. So no statement can insert a message of a dialog without
-- consent, or with another customer; and none can take consent back, or forget a dialog, and leave its messages.
--
-- The plain id of a customer is in one place, customers.customer_id. Everything else refers to a keyed hash of it, which
-- stays when the customer is erased, so that what comes later of them is known.

create table customers (
    team_id       integer     not null,
    customer_hash bytea       not null,
    customer_id   text,
    erased_at     timestamptz,
    changed_at    timestamptz not null default clock_timestamp(),
    replica_id    uuid        not null,

    constraint customers_pkey primary key (team_id, customer_hash),
    constraint customers_team_fkey foreign key (team_id) references teams (team_id),
    constraint customers_hash_check check (length(customer_hash) = 32),
    constraint customers_erased_check check ((customer_id is null) = (erased_at is not null))
) with (
    -- As messages.
    autovacuum_vacuum_threshold = 0,
    autovacuum_vacuum_scale_factor = 0,
    vacuum_index_cleanup = on
);

create index customers_changed_at_idx on customers (changed_at) where erased_at is not null;

comment on table customers is 'customers of whom something was stored, or who were erased';
comment on column customers.customer_hash is 'BLAKE3 of team and customer_id, with a key that the service has';
comment on column customers.customer_id is 'as the caller names them; null: erased';
comment on column customers.changed_at is 'by the clock of the store: replicas look for what others have changed';
comment on column customers.replica_id is 'which replica changed it';

create table consents (
    team_id        integer     not null,
    consent_id     uuid        not null,
    dialog_id      text,
    customer_hash  bytea,
    decision       text        not null,
    purpose        text        not null,
    policy_version text        not null,
    policy_hash    text        not null,
    decided_at     timestamptz not null,
    key_id         uuid        not null,

    constraint consents_pkey primary key (team_id, consent_id),
    constraint consents_team_fkey foreign key (team_id) references teams (team_id),
    constraint consents_decision_check check (decision in ('GRANTED', 'DENIED', 'WITHDRAWN')),
    constraint consents_dialog_id_check check (length(dialog_id) between 1 and 64),
    constraint consents_erased_check check ((dialog_id is null) = (customer_hash is not null)),
    constraint consents_purpose_check check (length(purpose) <= 200),
    constraint consents_policy_version_check check (length(policy_version) <= 100),
    constraint consents_policy_hash_check check (length(policy_hash) <= 128)
) with (
    -- As messages.
    autovacuum_vacuum_threshold = 0,
    autovacuum_vacuum_scale_factor = 0,
    vacuum_index_cleanup = on
);

create index consents_decided_at_idx on consents (team_id, decided_at, consent_id);
create index consents_dialog_idx on consents (team_id, dialog_id, decided_at, consent_id);
create index consents_customer_idx on consents (team_id, customer_hash, decided_at, consent_id)
    where customer_hash is not null;

comment on table consents is 'the record of decisions: only added to';
comment on column consents.dialog_id is 'null: the customer was erased';
comment on column consents.customer_hash is 'of whom, once they are erased; until then the dialog has it';
comment on column consents.key_id is 'the key by which it was noted';

create table dialogs (
    team_id       integer     not null,
    dialog_id     text        not null,
    customer_hash bytea,
    granted       boolean     not null,
    consent_id    uuid        not null,
    refused_at    timestamptz,
    changed_at    timestamptz not null default clock_timestamp(),
    replica_id    uuid        not null,

    constraint dialogs_pkey primary key (team_id, dialog_id),
    constraint dialogs_consent_key unique (team_id, dialog_id, customer_hash, granted),
    constraint dialogs_consent_fkey foreign key (team_id, consent_id) references consents (team_id, consent_id),
    constraint dialogs_customer_fkey foreign key (team_id, customer_hash)
        references customers (team_id, customer_hash),
    constraint dialogs_dialog_id_check check (length(dialog_id) between 1 and 64)
) with (
    -- As messages.
    autovacuum_vacuum_threshold = 0,
    autovacuum_vacuum_scale_factor = 0,
    vacuum_index_cleanup = on
);

create index dialogs_customer_idx on dialogs (team_id, customer_hash);
create index dialogs_changed_at_idx on dialogs (changed_at);

comment on table dialogs is 'dialogs of which a customer has decided';
comment on column dialogs.customer_hash is 'whose it is; null: nothing of it was stored yet';
comment on column dialogs.granted is 'whether there is consent now';
comment on column dialogs.consent_id is 'the decision that holds';
comment on column dialogs.refused_at is 'when it was last denied or withdrawn: what was said before is not stored any more';
comment on column dialogs.changed_at is 'as of customers';
comment on column dialogs.replica_id is 'as of customers';

create table messages (
    team_id       integer     not null,
    message_id    uuid        not null,
    dialog_id     text        not null,
    customer_hash bytea       not null,
    consented     boolean     not null default true,
    request_id    uuid,
    language      text        not null,
    text          text        not null,
    received_at   timestamptz not null,
    redacted_at   timestamptz,

    constraint messages_pkey primary key (team_id, message_id),
    constraint messages_consented_check check (consented),
    constraint messages_consent_fkey foreign key (team_id, dialog_id, customer_hash, consented)
        references dialogs (team_id, dialog_id, customer_hash, granted),
    constraint messages_text_check check (length(text) >= 1)
) with (
    -- What was deleted is cleared away within minutes, out of the indexes too, however little it is.
    autovacuum_vacuum_threshold = 0,
    autovacuum_vacuum_scale_factor = 0,
    vacuum_index_cleanup = on
);

create unique index messages_request_id_key on messages (team_id, dialog_id, request_id)
    where request_id is not null;
create index messages_received_at_idx on messages (team_id, received_at, message_id);
create index messages_dialog_idx on messages (team_id, dialog_id, received_at, message_id);
create index messages_customer_idx on messages (team_id, customer_hash, received_at, message_id);
create index messages_language_idx on messages (team_id, language, received_at, message_id);
create index messages_unredacted_idx on messages (team_id, received_at) where redacted_at is null;

comment on table messages is 'what customers said who agreed that it is kept';
comment on column messages.consented is 'always: what makes the reference to dialogs one to consent';
comment on column messages.request_id is 'chosen by the caller: the same again in the dialog is this message';
comment on column messages.language is 'a BCP 47 tag in its usual case';
comment on column messages.received_at is 'when it came, not when it was stored';
comment on column messages.redacted_at is 'when what identifies people was replaced in it; null: it was not';

create table erasures (
    team_id          integer     not null,
    number           bigint      not null,
    erasure_id       uuid        not null,
    customer_hash    bytea       not null,
    erased_at        timestamptz not null,
    key_id           uuid        not null,
    messages         bigint      not null,
    pending_messages bigint      not null,
    dialogs          bigint      not null,
    consents         bigint      not null,
    previous_hash    bytea       not null,
    hash             bytea       not null,

    constraint erasures_pkey primary key (team_id, number),
    constraint erasures_team_fkey foreign key (team_id) references teams (team_id),
    constraint erasures_hash_check check (length(hash) = 32 and length(previous_hash) = 32)
);

create index erasures_customer_idx on erasures (team_id, customer_hash, number);

comment on table erasures is 'receipts of customers who were erased: only added to';
comment on column erasures.number is '1, 2, 3 and so on in its team';
comment on column erasures.hash is 'of all of it, and of the hash of the one before';

create table dialog_settings (
    team_id           integer not null,
    purpose           text    not null default '',
    policy_version    text    not null default '',
    policy_hash       text    not null default '',
    redact_after_days integer not null default 0,
    delete_after_days integer not null default 0,

    constraint dialog_settings_pkey primary key (team_id),
    constraint dialog_settings_team_fkey foreign key (team_id) references teams (team_id),
    constraint dialog_settings_redact_check check (redact_after_days between 0 and 36500),
    constraint dialog_settings_delete_check check (delete_after_days between 0 and 36500)
);

comment on table dialog_settings is 'what customers of a team agree to, and how long it is kept; erasures lock it';
comment on column dialog_settings.redact_after_days is '0: never';
comment on column dialog_settings.delete_after_days is '0: never';

-- What identifies people, and what they said, is not for the statistics of PostgreSQL: these keep what was deleted, and
-- everybody with a look at them sees it. No plan depends on them.
alter table customers alter column customer_id set statistics 0;
alter table consents alter column dialog_id set statistics 0;
alter table dialogs alter column dialog_id set statistics 0;
alter table messages alter column dialog_id set statistics 0;
alter table messages alter column text set statistics 0;

alter table customers enable row level security;
alter table consents enable row level security;
alter table dialogs enable row level security;
alter table messages enable row level security;
alter table erasures enable row level security;
alter table dialog_settings enable row level security;

create policy customers_of_app on customers to tap_app
    using (team_id = nullif(current_setting('app.team_id', true), '')::integer)
    with check (team_id = nullif(current_setting('app.team_id', true), '')::integer);
create policy consents_of_app on consents to tap_app
    using (team_id = nullif(current_setting('app.team_id', true), '')::integer)
    with check (team_id = nullif(current_setting('app.team_id', true), '')::integer);
create policy dialogs_of_app on dialogs to tap_app
    using (team_id = nullif(current_setting('app.team_id', true), '')::integer)
    with check (team_id = nullif(current_setting('app.team_id', true), '')::integer);
create policy messages_of_app on messages to tap_app
    using (team_id = nullif(current_setting('app.team_id', true), '')::integer)
    with check (team_id = nullif(current_setting('app.team_id', true), '')::integer);
create policy erasures_of_app on erasures to tap_app
    using (team_id = nullif(current_setting('app.team_id', true), '')::integer)
    with check (team_id = nullif(current_setting('app.team_id', true), '')::integer);
create policy dialog_settings_of_app on dialog_settings to tap_app
    using (team_id = nullif(current_setting('app.team_id', true), '')::integer)
    with check (team_id = nullif(current_setting('app.team_id', true), '')::integer);

grant select, insert, update (customer_id, erased_at, changed_at, replica_id) on customers to tap_app;
grant select, insert, update (dialog_id, customer_hash) on consents to tap_app;
grant select, insert, update (customer_hash, granted, consent_id, refused_at, changed_at, replica_id), delete
    on dialogs to tap_app;
grant select, insert, update (text, redacted_at), delete on messages to tap_app;
grant select, insert on erasures to tap_app;
grant
    select,
    insert,
    update (purpose, policy_version, policy_hash, redact_after_days, delete_after_days)
    on dialog_settings to tap_app;

-- What spans teams is which dialogs and customers have changed, and who keeps messages for a time only: not what is in
-- them.
create policy customers_of_system on customers for select to tap_system using (true);
create policy dialogs_of_system on dialogs for select to tap_system using (true);
create policy dialog_settings_of_system on dialog_settings for select to tap_system using (true);

grant select (team_id, customer_hash, erased_at, changed_at, replica_id) on customers to tap_system;
grant select (team_id, dialog_id, changed_at, replica_id) on dialogs to tap_system;
grant select (team_id, redact_after_days, delete_after_days) on dialog_settings to tap_system;
