-- A tap by its id: of a redemption, and of a session. By its time too, so that this index is taken rather than the
-- primary key also where nothing is known of a table yet. While it is made, no taps are stored.
create index taps_tap_idx on taps (team_id, tap_id, tapped_at);
