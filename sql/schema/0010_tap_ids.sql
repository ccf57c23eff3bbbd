-- A tap by its id alone: of a redemption, and of a session. While it is made, no taps are stored.
create index taps_tap_idx on taps (team_id, tap_id);
