-- db.listen
-- Subscribes a connection to all hints.
listen api_keys;
listen tags;
listen taps;
listen events;
