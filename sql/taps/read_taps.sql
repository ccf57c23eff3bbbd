-- taps.read_taps
-- The taps of a team after a revision, in the order in which they were stored.
-- $1 team_id  $2 revision  $3 at most  $4 tag_ids; null: all  $5 classes; null: all
select
    taps.revision,
    taps.tap_id,
    taps.tag_id,
    taps.tapped_at,
    taps.received_at,
    taps.count,
    taps.kind,
    taps.class,
    taps.country,
    taps.device,
    taps.attributes::text as attributes,
    tags.uid,
    tags.label
from taps join tags using (team_id, tag_id)
where
    taps.team_id = $1 and taps.revision > $2
    and ($4::integer[] is null or taps.tag_id = any ($4::integer[]))
    and ($5::text[] is null or taps.class = any ($5::text[]))
order by taps.revision
limit $3
