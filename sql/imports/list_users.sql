-- imports.list_users
-- A page of users, in the order in which they were stored.
-- $1 team_id  $2 at most  $3 the last user_id of the page before; null: none
-- $4 pattern of the names, the national id, the phone number or the mail address; null: any  $5 import_id; null: any
select user_id, names, nid, phone, gender, email, import_id, created_at, updated_at
from users
where
    team_id = $1
    and ($3::uuid is null or user_id > $3)
    and ($4::text is null or names ilike $4 or nid ilike $4 or phone ilike $4 or email ilike $4)
    and ($5::uuid is null or import_id = $5)
order by user_id
limit $2
