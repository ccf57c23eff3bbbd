-- dialogs.delete_messages_of_dialog
-- Deletes what is stored of a dialog that is locked.
-- $1 team_id  $2 dialog_id
with gone as (
    delete from messages where team_id = $1 and dialog_id = $2 returning 1
)
select count(*) as gone from gone
