-- requests.forget
-- Deletes answers that nobody asks for again.
-- $1 before
delete from requests where created_at < $1
