-- db.take_longer
-- For the rest of a transaction that has much to do, and that its caller need not wait for.
set local statement_timeout = '5min';
-- A foreign key is looked at for each row: without that each look is planned anew.
set local plan_cache_mode = auto
