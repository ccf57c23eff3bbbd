-- The tags that people tap. Never deleted: taps and roll-ups point to them for good.
create table tags (
    -- Immutable.
    team_id    integer     not null,
    tag_id     integer     not null,
    uid        text        not null,
    created_at timestamptz not null default now(),
    -- Mutable.
    label      text        not null default '',
    kind       text        not null default 'nfc',

    constraint tags_pkey primary key (team_id, tag_id),
    constraint tags_uid_key unique (team_id, uid),
    constraint tags_team_fkey foreign key (team_id) references teams (team_id),
    constraint tags_tag_id_check check (tag_id > 0),
    constraint tags_uid_check check (uid ~ '^[A-Za-z0-9._:-]{1,64}$'),
    constraint tags_label_check check (length(label) <= 200),
    constraint tags_kind_check check (kind in ('nfc', 'qr', 'link'))
);

comment on table tags is 'NFC chips, QR codes and links of a team';
comment on column tags.tag_id is 'counts up within the team; 0 is never given, it stands for the whole team in tap_days';
comment on column tags.uid is 'what is on the chip or in the code: decimal, hexadecimal or a slug; text, as a number would lose digits';
comment on column tags.kind is 'how it is read, unless a tap says otherwise';

alter table tags enable row level security;

create policy tags_of_app on tags for select to tap_app
    using (team_id = nullif(current_setting('app.team_id', true), '')::integer);
create policy tags_of_system on tags to tap_system using (true);

grant select on tags to tap_app;
grant select, insert on tags to tap_system;
