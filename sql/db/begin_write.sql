-- db.begin_write
-- Opens a change of what spans teams.
begin isolation level read committed
