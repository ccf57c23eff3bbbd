-- db.listen
-- Subscribes a connection to both hints.
listen api_keys;
listen taps;
