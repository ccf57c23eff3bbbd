-- imports.get_user
-- $1 team_id  $2 user_id
select user_id, names, nid, phone, gender, email, import_id, created_at, updated_at
from users
where team_id = $1 and user_id = $2
