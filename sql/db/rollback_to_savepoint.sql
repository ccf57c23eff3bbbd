-- db.rollback_to_savepoint
-- Takes back what was done since the place, of which there is one at a time.
rollback to savepoint place;
release savepoint place
