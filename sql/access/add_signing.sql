-- access.add_signing
-- Adds a secret to sign tokens with. It signs a minute later.
-- $1 name, with 'signing.' before it  $2 secret  $3 created_at
insert into secrets (name, secret, created_at) values ($1, $2, $3)
