-- One message by bare statements, for pgbench: in one of so many dialogs. Nothing is looked at but what the foreign key
-- asks for, and whose the dialog is is known.
\set dialog random(1, :dialogs)
begin;
insert into messages (
    team_id, message_id, dialog_id, customer_hash, request_id, language, text, received_at
)
values (
    1, gen_random_uuid(), 'dialog-' || :dialog::integer,
    sha256(convert_to('customer-' || :dialog::integer, 'UTF8')), gen_random_uuid(), 'en',
    'I ordered number ' || :dialog::integer || ' last week and it has not come yet: where is it now, please?', now()
);
commit;
