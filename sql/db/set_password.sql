-- db.set_password
-- {role} is tap_app or tap_system, {verifier} a SCRAM verifier: base64 and punctuation, no quotes.
alter role {role} password '{verifier}'
