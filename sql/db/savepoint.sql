-- db.savepoint
-- A place in a transaction to go back to.
savepoint place
