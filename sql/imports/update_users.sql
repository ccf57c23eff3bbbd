-- imports.update_users
-- Changes users to this. Runs after imports.lock_book.
-- $1 team_id  $2 import_id  $3 now  $4 user_ids  $5 names  $6 phones  $7 genders  $8 emails
-- $9 phone_hashes  $10 email_hashes
update users
set names = new.names,
    phone = new.phone,
    gender = new.gender,
    email = new.email,
    phone_hash = new.phone_hash,
    email_hash = new.email_hash,
    import_id = $2,
    updated_at = $3
from unnest(
    $4::uuid[], $5::text[], $6::text[], $7::text[], $8::text[], $9::bytea[], $10::bytea[]
) as new (user_id, names, phone, gender, email, phone_hash, email_hash)
where users.team_id = $1 and users.user_id = new.user_id
