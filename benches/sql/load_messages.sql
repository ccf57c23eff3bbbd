-- Messages of team 1 in its dialogs, in the order in which they come: over half a year, of 200 dialogs at a time.
-- One of five languages is rare.
-- $1 how many  $2 dialogs
insert into messages (
    team_id, message_id, dialog_id, customer_hash, request_id, language, text, received_at
)
select
    1,
    (
        lpad(to_hex((extract(epoch from received_at) * 1000)::bigint), 12, '0')
        || '7' || substr(md5(n::text), 1, 3) || '8' || substr(md5(n::text), 4, 15)
    )::uuid,
    dialogs.dialog_id,
    customer_hash,
    gen_random_uuid(),
    case
        when n % 1000 = 500 then 'pt-BR'
        when n % 10 < 6 then 'en'
        when n % 10 < 8 then 'de'
        when n % 10 = 8 then 'es'
        else 'fr'
    end,
    'I ordered number ' || n || ' last week and it has not come yet: where is it now, please?',
    received_at
from (
    select
        n,
        now() - interval '1 hour' - ($1::integer - n) * (interval '180 days' / $1::integer) as received_at,
        1 + (n::bigint * $2::integer / $1::integer + floor(random() * 200)::bigint) % $2::integer as dialog
    from generate_series(1, $1::integer) as n
) as made
join dialogs on dialogs.team_id = 1 and dialogs.dialog_id = 'dialog-' || dialog
order by n
