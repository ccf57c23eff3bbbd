-- access.load_signing
-- What tokens of browsers are signed with and checked by.
select substr(name, length('signing.') + 1) as id, secret, created_at
from secrets
where name like 'signing.%'
