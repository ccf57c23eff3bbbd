-- imports.insert_users
-- Adds users. Runs after imports.lock_book.
-- $1 team_id  $2 import_id  $3 now  $4 user_ids  $5 names  $6 nids  $7 phones  $8 genders  $9 emails
-- $10 nid_hashes  $11 phone_hashes  $12 email_hashes
insert into users (
    team_id, user_id, names, nid, phone, gender, email, nid_hash, phone_hash, email_hash,
    import_id, created_at, updated_at
)
select $1, user_id, names, nid, phone, gender, email, nid_hash, phone_hash, email_hash, $2, $3, $3
from unnest(
    $4::uuid[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[], $10::bytea[], $11::bytea[], $12::bytea[]
) as new (user_id, names, nid, phone, gender, email, nid_hash, phone_hash, email_hash)
