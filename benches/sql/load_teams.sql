-- Four teams with 200 tags each, half of them NFC.
insert into teams (team_id, slug, name)
select team_id, 'team-' || team_id, 'Team ' || team_id
from generate_series(1, 4) as team_id;

insert into tags (team_id, tag_id, uid, label, kind)
select
    team_id,
    tag_id,
    'tag-' || tag_id,
    'Tag ' || tag_id,
    case tag_id % 4 when 2 then 'qr' when 3 then 'link' else 'nfc' end
from teams cross join generate_series(1, 200) as tag_id;
