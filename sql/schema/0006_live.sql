-- What recording and streaming need: where a tag leads to, who was behind a tap and where, and the
-- secret under resume tokens.

-- Raised by insert_tags and whatever else changes a team's tags: readers that keep tags in memory load
-- those of a team again when it has changed.
alter table teams
    add column tags_revision bigint not null default 0,
    add column replay_after bigint not null default 0;

comment on column teams.tags_revision is 'raised with each change of the team''s tags';
comment on column teams.replay_after is
    'taps up to this revision may be gone by retention: a stream can be resumed from here on';

grant update (tags_revision) on teams to tap_system;

alter table tags
    add column destination_url text,
    add column archived_at timestamptz,
    add constraint tags_destination_url_check
        check (destination_url ~ '^https?://[^[:space:][:cntrl:]]+$' and length(destination_url) <= 2048);

comment on column tags.destination_url is 'where the tap URL leads to; null: to a page that says thank you';
comment on column tags.archived_at is 'set: the tap URL is no longer served, and taps are no longer recorded';

alter table taps
    add column class text not null default 'human',
    add column country text,
    add column device text,
    add column attributes jsonb,
    add constraint taps_class_check check (class in ('human', 'preview', 'bot')),
    add constraint taps_country_check check (country ~ '^[A-Z]{2}$'),
    add constraint taps_device_check check (length(device) between 1 and 64);

comment on column taps.class is 'who was behind it, as far as can be told; queries count humans unless told otherwise';
comment on column taps.country is 'ISO 3166-1 alpha-2';
comment on column taps.device is 'such as ios, android, desktop';
comment on column taps.attributes is 'anything else: an object of strings';

alter table tap_days add column class text not null default 'human';
alter table tap_days drop constraint tap_days_pkey;
alter table tap_days add constraint tap_days_pkey primary key (team_id, tag_id, day, kind, class);

comment on column tap_days.class is 'as of taps';

-- Not of any team: the key under the tokens that callers hold, so that all replicas know their own.
create table secrets (
    name   text  not null,
    secret bytea not null,

    constraint secrets_pkey primary key (name),
    constraint secrets_secret_check check (octet_length(secret) = 32)
);

comment on table secrets is 'keys of the service itself';

alter table secrets enable row level security;

create policy secrets_of_system on secrets for select to tap_system using (true);

grant select on secrets to tap_system;

-- 244 random bits, of the strong generator that gen_random_uuid has.
insert into secrets (name, secret)
values ('tokens', sha256(convert_to(gen_random_uuid()::text || gen_random_uuid()::text, 'UTF8')));

-- Drops the oldest month of taps that ends on or before a day, its roll-up too, and says whether there was
-- one. A stream that has yet to send some of them can no longer be resumed. One month at a time, as nobody
-- can write meanwhile.
--
-- Security definer, as only the owner can drop a partition.
create function drop_oldest_taps(first_kept date) returns boolean
    language plpgsql security definer
    set search_path = public, pg_temp
    -- Whoever reads the table would wait behind us: rather try again later.
    set lock_timeout = '2s'
as $$
declare
    part  text;
    month date;
begin
    -- Whoever may call this may not do away with what is new.
    if first_kept > current_date - 29 then
        raise exception 'taps are kept for 30 days at least' using errcode = 'invalid_parameter_value';
    end if;
    select c.relname, to_date(right(c.relname, 7), 'YYYY_MM') into part, month
    from pg_inherits join pg_class c on c.oid = inhrelid
    where inhparent = 'taps'::regclass
    order by c.relname
    limit 1;
    if part is null or month + interval '1 month' > first_kept then
        return false;
    end if;

    -- As writers do: first the teams, then the taps.
    perform from teams order by team_id for update;
    lock table taps in access exclusive mode;
    -- Raised, so that no answer of before is taken for true.
    execute format(
        'update teams
         set revision = teams.revision + 1, replay_after = greatest(replay_after, gone.revision)
         from (select team_id, max(revision) as revision from %I group by team_id) as gone
         where teams.team_id = gone.team_id',
        part
    );
    delete from tap_days where day >= month and day < month + interval '1 month';
    execute format('alter table taps detach partition %I', part);
    execute format('drop table %I', part);
    return true;
end
$$;

comment on function drop_oldest_taps is 'drops the oldest month of taps that ends on or before a day, and says whether there was one';

revoke execute on function drop_oldest_taps from public;
grant execute on function drop_oldest_taps to tap_system;
