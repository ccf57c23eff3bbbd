-- dialogs.delete_old_messages
-- Deletes messages that are kept no longer, the oldest first. Those that another replica works on are left to it.
-- $1 team_id  $2 that came before  $3 at most
with old as materialized (
    select message_id
    from messages
    where team_id = $1 and received_at < $2
    order by received_at
    limit $3
    for update skip locked
), gone as (
    delete from messages where team_id = $1 and message_id in (select message_id from old) returning 1
)
select count(*) as gone from gone
