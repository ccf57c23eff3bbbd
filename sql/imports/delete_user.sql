-- imports.delete_user
-- Deletes a user, and says whether there was one. Runs after imports.lock_book.
-- $1 team_id  $2 user_id
delete from users where team_id = $1 and user_id = $2 returning user_id
