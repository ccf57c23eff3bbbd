-- db.become_owner
-- What follows on this connection is made and owned by tap_owner.
set role tap_owner
