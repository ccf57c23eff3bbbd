-- db.take_longer
-- For the rest of a transaction that has much to do, and that its caller need not wait for.
set local statement_timeout = '5min'
