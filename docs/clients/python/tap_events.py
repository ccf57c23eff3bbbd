"""Sends events to tap-analytics: buffers, batches, retries, and outlives restarts of the service.

    with Events("http://localhost:3000", key) as events:
        event_id = events.send(session, "shop", "order_placed", {"total": 12.5})

Python 3.9 or later, and nothing else. See ../README.md for what it guarantees, and what not.
"""

import collections
import json
import logging
import random
import threading
import time
import urllib.error
import urllib.request
import uuid
from datetime import datetime, timezone

EVENT_BYTES_MAX = 64 * 1024  # what the service takes
BATCH_EVENTS_MAX = 1000
BATCH_BYTES_MAX = 512 * 1024  # half of what Envoy takes

log = logging.getLogger(__name__)


class Full(Exception):
    """There is no room for an event."""


class NoRedirects(urllib.request.HTTPRedirectHandler):
    """The key goes to the address that was given, and to no other."""

    def redirect_request(self, *_):
        return None


class Events:
    """Can be used by many threads. `on_problem(text, dropped)` is told of each call that failed, and of the
    event that was given up for it, if one was; without it, the log is. The stats are counts of events, but for
    `retried`, which are calls: sent = accepted + dropped + waiting."""

    def __init__(self, url, key, *, buffer_events=10_000, buffer_bytes=16 * 1024 * 1024, linger=0.2,
                 retry_min=0.2, retry_max=10.0, deadline=10.0, on_problem=None):
        if not (key and key.isascii() and key.isprintable()):
            raise ValueError("this is not an API key")
        self._opener = urllib.request.build_opener(NoRedirects)
        self._url, self._key, self._on_problem = url.rstrip("/") + "/v1/events", key, on_problem or _to_the_log
        self._buffer_events, self._buffer_bytes, self._linger = buffer_events, buffer_bytes, linger
        self._retry_min, self._retry_max, self._deadline = retry_min, retry_max, deadline
        self._waiting = collections.deque()  # (when, event as JSON), also those of the call under way
        self._bytes = self._hurry = 0
        self._closed = False
        self._counts = dict.fromkeys(("sent", "accepted", "dropped", "retried"), 0)
        self._change = threading.Condition()
        threading.Thread(target=self._run, name="tap-events", daemon=True).start()

    def send(self, session, category, name, data, *, occurred_at=None, event_id=None, timeout=None):
        """Takes an event and gives its id. If the buffer is full this waits, for `timeout` seconds at most, and
        then raises Full: with 0 it never waits. Raises ValueError for what can never be sent."""
        event_id = str(event_id or uuid.uuid4())
        occurred_at = occurred_at or datetime.now(timezone.utc).isoformat()
        event = json.dumps({"event_id": event_id, "session_id": str(session), "category": category, "name": name,
                            "occurred_at": occurred_at, "data": data}, ensure_ascii=False, allow_nan=False).encode()
        if len(event) > EVENT_BYTES_MAX:
            raise ValueError(f"an event of {len(event)} bytes is larger than the service takes")
        with self._change:
            if not self._change.wait_for(lambda: self._closed or self._has_room(event), timeout):
                raise Full
            if self._closed:
                raise ValueError("closed")
            self._waiting.append((time.monotonic(), event))
            self._bytes += len(event)
            self._counts["sent"] += 1
            self._change.notify_all()
        return event_id

    def flush(self, timeout=None):
        """Waits until all that was sent before is answered. False: it was not, after so many seconds."""
        with self._change:
            self._hurry = sent = self._counts["sent"]
            self._change.notify_all()
            return self._change.wait_for(lambda: self._settled() >= sent, timeout)

    def close(self, timeout=None):
        """Takes no more events, and flushes. What is not sent when the program ends is lost."""
        with self._change:
            self._closed = True
        return self.flush(timeout)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    @property
    def stats(self):
        with self._change:
            return {**self._counts, "waiting": len(self._waiting)}

    def _has_room(self, event):
        bytes_left = self._buffer_bytes - self._bytes
        return not self._waiting or len(self._waiting) < self._buffer_events and len(event) <= bytes_left

    def _settled(self):
        return self._counts["accepted"] + self._counts["dropped"]

    def _run(self):
        while batch := self._batch():
            self._deliver(batch)

    def _batch(self):
        """The events of the next call, once it is time for them. None: there will be no more."""
        with self._change:
            self._change.wait_for(lambda: self._waiting or self._closed)
            if not self._waiting:
                return None
            due = self._waiting[0][0] + self._linger
            self._change.wait_for(self._is_time, max(0.0, due - time.monotonic()))
            batch, size = [], 0
            for _, event in self._waiting:
                size += len(event) + 1
                if batch and size > BATCH_BYTES_MAX or len(batch) == BATCH_EVENTS_MAX:
                    break
                batch.append(event)
            return batch

    def _is_time(self):
        full = len(self._waiting) >= BATCH_EVENTS_MAX or self._bytes >= BATCH_BYTES_MAX
        return full or self._closed or self._settled() < self._hurry

    def _deliver(self, batch):
        """Sends a batch until it is answered. One that cannot be taken goes in halves, to find what is bad."""
        failures = 0
        while True:
            status, wait, problem = self._call(batch)
            if status == 200:
                return self._settle("accepted", batch)
            if status in (400, 413):
                if len(batch) > 1:
                    self._deliver(batch[: len(batch) // 2])
                    return self._deliver(batch[len(batch) // 2 :])
                self._tell(problem, json.loads(batch[0]))
                return self._settle("dropped", batch)
            # Everything else may pass, also a wrong key: people can mend that.
            self._tell(problem, None)
            own = min(self._retry_max, self._retry_min * 2 ** min(failures, 30)) * random.uniform(0.5, 1)
            time.sleep(wait * random.uniform(1, 1.1) if wait and status == 429 else max(wait, own))
            failures += 1
            with self._change:
                self._counts["retried"] += 1

    def _call(self, batch):
        """The HTTP status, the seconds that the service asks to wait, and what is wrong, for people."""
        try:
            return self._post(b'{"events":[' + b",".join(batch) + b"]}", len(batch))
        except Exception as error:  # Whatever it is, they are sent again.
            return 0, 0.0, repr(error)

    def _post(self, body, events):
        headers = {"content-type": "application/json", "x-api-key": self._key}
        request = urllib.request.Request(self._url, body, headers, method="POST")
        try:
            with self._opener.open(request, timeout=self._deadline) as answer:
                good = len(json.load(answer)["receipts"]) == events
                return (200, 0.0, "") if good else (0, 0.0, "this is not tap-analytics")
        except urllib.error.HTTPError as error:
            wait = error.headers.get("retry-after", "")
            text = error.read(2000).decode(errors="replace")
            return error.code, float(wait) if wait.isdigit() else 0.0, f"{error.code} {text}"

    def _settle(self, how, batch):
        with self._change:
            for _ in batch:
                self._bytes -= len(self._waiting.popleft()[1])
            self._counts[how] += len(batch)
            self._change.notify_all()

    def _tell(self, problem, dropped):
        try:
            self._on_problem(problem, dropped)
        except Exception:
            log.exception("on_problem has failed")


def _to_the_log(problem, dropped):
    log.warning("%s: %s", "an event was dropped" if dropped else "events are sent again", problem)
