-- db.ping
-- Whether the store answers.
select 1
