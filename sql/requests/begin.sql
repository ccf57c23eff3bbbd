-- requests.begin
-- Takes a request_id for this transaction, unless it is taken: then whoever took it is waited for.
-- $1 team_id  $2 request_id  $3 fingerprint
insert into requests (team_id, request_id, fingerprint, answer)
values ($1, $2, $3, '')
on conflict do nothing
returning 1
