-- dialogs.count_customer
-- How much there is of a customer that an erasure would take away.
-- $1 team_id  $2 customer_hash
select
    (select count(*) from messages where team_id = $1 and customer_hash = $2) as messages,
    (select count(*) from dialogs where team_id = $1 and customer_hash = $2) as dialogs,
    (
        select count(*)
        from dialogs
        join consents on consents.team_id = dialogs.team_id and consents.dialog_id = dialogs.dialog_id
        where dialogs.team_id = $1 and dialogs.customer_hash = $2
    ) as consents
