-- requests.forget
-- Deletes some of the answers that nobody asks for again, and says of how many.
-- $1 before  $2 at most
with old as (
    select team_id, request_id from requests where created_at < $1 order by created_at limit $2
), gone as (
    delete from requests using old
    where requests.team_id = old.team_id and requests.request_id = old.request_id
    returning 1
)
select count(*) as gone from gone
