-- taps.read_taps
-- The taps of a team after a revision and up to another, in the order in which they were stored.
-- $1 team_id  $2 after  $3 up to  $4 at most  $5 tag_ids; null: all  $6 classes; null: all
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
    taps.team_id = $1 and taps.revision > $2 and taps.revision <= $3
    and ($5::integer[] is null or taps.tag_id = any ($5::integer[]))
    and ($6::text[] is null or taps.class = any ($6::text[]))
order by taps.revision
limit $4
