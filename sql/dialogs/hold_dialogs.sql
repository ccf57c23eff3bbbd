-- dialogs.hold_dialogs
-- Dialogs of which customers have decided: nobody changes the decision until this transaction ends. Who does so now is
-- not waited for: `held` says whether it could be held.
-- $1 team_id  $2 dialog_ids
with held as materialized (
    select dialog_id, granted, customer_hash, refused_at
    from dialogs
    where team_id = $1 and dialog_id = any ($2::text[])
    for key share skip locked
)
select dialogs.dialog_id, held.dialog_id is not null as held, held.granted, held.customer_hash, held.refused_at
from dialogs
left join held on held.dialog_id = dialogs.dialog_id
where dialogs.team_id = $1 and dialogs.dialog_id = any ($2::text[])
