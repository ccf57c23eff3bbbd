-- tags.notify_tags
-- Tells every replica that the tags of a team have changed. A hint: a lost one costs seconds.
-- $1 payload: team_id, or team_id:revision of its tags
select pg_notify('tags', $1)
