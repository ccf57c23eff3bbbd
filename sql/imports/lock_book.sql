-- imports.lock_book
-- Makes this transaction the only one that changes the team's users, and says how many there are.
-- $1 team_id
insert into user_books (team_id) values ($1)
on conflict (team_id) do update set users = user_books.users
returning users
