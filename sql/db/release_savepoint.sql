-- db.release_savepoint
-- Keeps what was done since the place.
release savepoint place
