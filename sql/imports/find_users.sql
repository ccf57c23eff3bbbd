-- imports.find_users
-- The users who have one of these, by hash alone: in what order is of no matter.
-- $1 team_id  $2 nid_hashes  $3 phone_hashes  $4 email_hashes
select user_id, nid_hash, phone_hash, email_hash, names, gender
from users
where team_id = $1 and nid_hash = any($2::bytea[])
union
select user_id, nid_hash, phone_hash, email_hash, names, gender
from users
where team_id = $1 and phone_hash = any($3::bytea[])
union
select user_id, nid_hash, phone_hash, email_hash, names, gender
from users
where team_id = $1 and email_hash = any($4::bytea[])
