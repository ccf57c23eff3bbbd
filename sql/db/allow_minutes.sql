-- db.allow_minutes
-- Gives the statements of this transaction more time than those of a request have.
set local statement_timeout = '10min'
