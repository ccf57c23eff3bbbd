-- imports.count_users
-- Notes how many users there are more, or fewer. Runs after imports.lock_book.
-- $1 team_id  $2 how many
update user_books set users = users + $2 where team_id = $1
