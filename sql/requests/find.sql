-- requests.find
-- What was answered to a request.
-- $1 team_id  $2 request_id
select fingerprint, answer from requests where team_id = $1 and request_id = $2
