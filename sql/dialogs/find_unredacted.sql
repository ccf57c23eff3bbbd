-- dialogs.find_unredacted
-- Messages in which is still what identifies people, the oldest first: some of them, and no more than 1 MiB. Those that
-- another replica works on are left to it.
-- $1 team_id  $2 that came before  $3 at most
with old as materialized (
    select message_id, text, received_at
    from messages
    where team_id = $1 and redacted_at is null and received_at < $2
    order by received_at
    limit $3
    for update skip locked
), measured as (
    select message_id, text, sum(octet_length(text)) over (order by received_at, message_id) as bytes from old
)
select message_id, text from measured where bytes - octet_length(text) < 1048576
