-- requests.finish
-- Keeps the answer to a request.
-- $1 team_id  $2 request_id  $3 answer
update requests set answer = $3 where team_id = $1 and request_id = $2
