#!/usr/bin/env python3
"""Sends what comes by standard input, an event as JSON a line, and prints the id of each:

    echo '{"session": "...", "category": "shop", "name": "order_placed", "data": {"total": 12.5}}' |
        TAP_URL=http://localhost:3000 TAP_API_KEY=... ./example.py
"""

import json
import os
import sys

from tap_events import Events


def main():
    # The body of an HTTP error may come from a proxy: it is shown, and goes nowhere else.
    def on_problem(text, dropped):
        print(f"dropped: {json.dumps(dropped)}" if dropped else "again soon", text, file=sys.stderr)

    events = Events(os.environ["TAP_URL"], os.environ["TAP_API_KEY"], on_problem=on_problem)
    for line in sys.stdin:
        event = json.loads(line)
        print(events.send(event["session"], event["category"], event["name"], event["data"]), flush=True)
    answered = events.close(timeout=60)
    print(json.dumps(events.stats), file=sys.stderr)
    return 0 if answered else 1


if __name__ == "__main__":
    sys.exit(main())
