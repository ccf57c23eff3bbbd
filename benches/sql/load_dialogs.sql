-- {customers} customers of team 1, and {dialogs} dialogs with them that have consent; {customer} is whose the nth is.
-- The hashes of customers whom the service knows are its own, those of the others are made up. The dialogs seem to be
-- old: else each replica would look at all of them, as it does at what others have changed.
create temporary table numbered as
select n, coalesce(customer_hash, sha256(convert_to('customer-' || n, 'UTF8'))) as customer_hash
from generate_series(1, {customers}) as n
left join customers on team_id = 1 and customer_id = 'customer-' || n;

insert into customers (team_id, customer_hash, customer_id, replica_id)
select 1, customer_hash, 'customer-' || n, '00000000-0000-0000-0000-000000000001'
from numbered
on conflict do nothing;

insert into consents (
    team_id, consent_id, dialog_id, decision, purpose, policy_version, policy_hash, decided_at, key_id
)
select
    1, lpad(to_hex(n), 32, '0')::uuid, 'dialog-' || n, 'GRANTED', '', '', '', now() - interval '200 days',
    '00000000-0000-0000-0000-000000000001'
from generate_series(1, {dialogs}) as n;

insert into dialogs (team_id, dialog_id, customer_hash, granted, consent_id, changed_at, replica_id)
select
    1, 'dialog-' || made.n, customer_hash, true, lpad(to_hex(made.n), 32, '0')::uuid, now() - interval '200 days',
    '00000000-0000-0000-0000-000000000001'
from (select n, {customer} as customer from generate_series(1, {dialogs}) as n) as made
join numbered on numbered.n = made.customer;

analyze customers;
analyze consents;
analyze dialogs;
