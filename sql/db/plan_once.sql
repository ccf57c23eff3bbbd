-- db.plan_once
-- For the rest of a transaction that inserts many rows: a foreign key is looked at for each of them, and without that each
-- look is planned anew. Not for what looks up arrays: a plan that was made when the table was small reads all of it for
-- each of their elements.
set local plan_cache_mode = auto
