-- Coupons: what a tap can hand out.
--
-- redemptions is the ledger: a row for each time that a coupon was redeemed, never deleted. coupons.redeemed,
-- coupons.released and redemption_quarters are sums of it, written in the same transactions. Whoever redeems holds
-- the row of the coupon, so that these come one after another.

create table coupons (
    team_id         integer          not null,
    coupon_id       uuid             not null,
    created_at      timestamptz      not null,
    updated_at      timestamptz      not null,
    archived_at     timestamptz,
    version         integer          not null default 1,
    couponcode      text             not null,
    code_key        text             not null,
    category        text             not null,
    title           text             not null,
    description     text             not null,
    merchant        text             not null,
    store_lat       double precision,
    store_long      double precision,
    store_city      text             not null,
    store_phone     text             not null,
    store_state     text             not null,
    store_street    text             not null,
    store_zip       text             not null,
    published_at    timestamptz,
    expire_at       timestamptz,
    tag_ids         integer[]        not null,
    max_redemptions integer,
    max_per_subject integer,
    disabled        boolean          not null,
    metadata        json             not null,
    redeemed        bigint           not null default 0,
    released        bigint           not null default 0,

    constraint coupons_pkey primary key (team_id, coupon_id),
    constraint coupons_team_fkey foreign key (team_id) references teams (team_id),
    constraint coupons_couponcode_check check (length(couponcode) between 1 and 64),
    constraint coupons_title_check check (length(title) between 1 and 200),
    constraint coupons_dates_check check (expire_at >= published_at),
    constraint coupons_point_check check (
        (store_lat is null) = (store_long is null)
        and store_lat between -90 and 90 and store_long between -180 and 180
    ),
    constraint coupons_max_redemptions_check check (max_redemptions >= 1),
    constraint coupons_max_per_subject_check check (max_per_subject >= 1),
    constraint coupons_redeemed_check check (redeemed >= 0 and redeemed <= max_redemptions),
    constraint coupons_released_check check (released >= 0)
) with (fillfactor = 70); -- room for counting, which touches no index

create unique index coupons_code_key on coupons (team_id, code_key) where archived_at is null;
create index coupons_created_at_idx on coupons (team_id, created_at, coupon_id);

comment on table coupons is 'what taps can hand out; deleted only if it was never redeemed';
comment on column coupons.archived_at is 'set: it was deleted after it was redeemed';
comment on column coupons.version is 'raised with each change by people, not with redemptions: the etag';
comment on column coupons.couponcode is 'what people show or type, as it was written';
comment on column coupons.code_key is 'the same in one case';
comment on column coupons.published_at is 'from when on it can be redeemed; null: since ever';
comment on column coupons.expire_at is 'from when on it can no longer be redeemed; null: never';
comment on column coupons.tag_ids is 'of the tags that hand it out; none: any';
comment on column coupons.max_redemptions is 'null: without limit';
comment on column coupons.metadata is 'an object of texts';
comment on column coupons.redeemed is 'rows of redemptions that were not given back';
comment on column coupons.released is 'rows of redemptions that were';

-- What can be done with a coupon. The same as src/coupons/model.rs has it: a test compares them.
create function coupon_state(
    disabled boolean,
    archived_at timestamptz,
    published_at timestamptz,
    expire_at timestamptz,
    max_redemptions integer,
    redeemed bigint,
    at timestamptz
) returns text
    language sql immutable parallel safe
as $$
    select case
        when disabled or archived_at is not null then 'DISABLED'
        when expire_at <= at then 'EXPIRED'
        when redeemed >= max_redemptions then 'EXHAUSTED'
        when published_at > at then 'SCHEDULED'
        else 'ACTIVE'
    end
$$;

comment on function coupon_state is 'what can be done with a coupon at an instant';

create table redemptions (
    team_id       integer     not null,
    redemption_id uuid        not null,
    coupon_id     uuid        not null,
    redeemed_at   timestamptz not null,
    released_at   timestamptz,
    key_id        uuid        not null,
    tag_id        integer     not null,
    tap_id        uuid,
    request_id    uuid,
    subject       text        not null,

    constraint redemptions_pkey primary key (team_id, redemption_id),
    constraint redemptions_request_id_key unique (team_id, request_id),
    constraint redemptions_coupon_fkey foreign key (team_id, coupon_id)
        references coupons (team_id, coupon_id),
    constraint redemptions_subject_check check (length(subject) <= 200)
);

create index redemptions_redeemed_at_idx on redemptions (team_id, redeemed_at, redemption_id);
create index redemptions_coupon_idx on redemptions (team_id, coupon_id, redeemed_at, redemption_id);
create index redemptions_released_idx on redemptions (team_id, redeemed_at, redemption_id)
    where released_at is not null;
create index redemptions_subject_idx on redemptions (team_id, coupon_id, subject)
    where released_at is null and subject <> '';

comment on table redemptions is 'the ledger: each time that a coupon was redeemed; never deleted';
comment on column redemptions.released_at is 'when it was given back; null: it was not';
comment on column redemptions.key_id is 'the key by which it was redeemed';
comment on column redemptions.tag_id is 'the tag that handed it out; 0: it is not known';
comment on column redemptions.tap_id is 'as it was sent; not a foreign key, as taps may come later and may be dropped';
comment on column redemptions.request_id is 'chosen by the caller: the same again is answered with this row';
comment on column redemptions.subject is 'who redeemed it, as the caller names people; may be empty';

create table redemption_quarters (
    team_id     integer     not null,
    quarter     timestamptz not null,
    coupon_id   uuid        not null,
    tag_id      integer     not null,
    redemptions bigint      not null,

    constraint redemption_quarters_pkey primary key (team_id, quarter, coupon_id, tag_id),
    constraint redemption_quarters_check check (redemptions >= 0)
) with (fillfactor = 80); -- room for updates that touch no index

comment on table redemption_quarters is
    'redemptions that were not given back, by the quarter of an hour in which they were made';
comment on column redemption_quarters.tag_id is 'as of redemptions';

alter table coupons enable row level security;
alter table redemptions enable row level security;
alter table redemption_quarters enable row level security;

create policy coupons_of_app on coupons to tap_app
    using (team_id = nullif(current_setting('app.team_id', true), '')::integer)
    with check (team_id = nullif(current_setting('app.team_id', true), '')::integer);
create policy redemptions_of_app on redemptions to tap_app
    using (team_id = nullif(current_setting('app.team_id', true), '')::integer)
    with check (team_id = nullif(current_setting('app.team_id', true), '')::integer);
create policy redemption_quarters_of_app on redemption_quarters to tap_app
    using (team_id = nullif(current_setting('app.team_id', true), '')::integer)
    with check (team_id = nullif(current_setting('app.team_id', true), '')::integer);

grant
    select,
    insert,
    update (
        updated_at, archived_at, version, couponcode, code_key, category, title, description, merchant,
        store_lat, store_long, store_city, store_phone, store_state, store_street, store_zip,
        published_at, expire_at, tag_ids, max_redemptions, max_per_subject, disabled, metadata,
        redeemed, released
    ),
    delete
    on coupons to tap_app;
grant select, insert, update (released_at) on redemptions to tap_app;
grant select, insert, update (redemptions) on redemption_quarters to tap_app;
