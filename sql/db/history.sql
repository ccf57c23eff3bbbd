-- db.history
-- Which history of which database this is: another one after a backup was restored or a standby took
-- over, which may lack what the old one had.
select
    (select system_identifier from pg_control_system())
    || ' ' || (select timeline_id from pg_control_checkpoint())
    || ' ' || (select oid from pg_database where datname = current_database()) as history
