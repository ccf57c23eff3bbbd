-- db.notify
-- Tells every replica that teams have new revisions. A hint: a lost one costs a second.
-- $1 channel: the kind of what they are revisions of  $2 payload: team_id:revision, with commas between several
select pg_notify($1, $2)
