"""Runs every curl of the description of the API as it stands there. Usage: curls.py URL DESCRIPTION

What it asks for may be missing, as ids cannot be known beforehand; but what it sends must be right, and the
answer must be one that the description has.
"""

import json
import os
import subprocess
import sys
import tempfile

from hooks import key_of

url, description = sys.argv[1], json.load(open(sys.argv[2]))
# As typed, but that the status is printed too, and that a stream is left after a second.
SCRIPT = """
curl() { command curl --silent --show-error --max-time "$SECONDS_MAX" --write-out '\\n%{http_code}' "$@"; }
"""
# What is uploaded.
folder = tempfile.TemporaryDirectory()
with open(os.path.join(folder.name, "users.csv"), "w") as file:
    file.write("Names,NID,Phone,Gender,Email\nUwase Keza,1199070000001012,0780000001,F,keza@example.com\n")
wrong = count = 0
for path, item in description["paths"].items():
    for verb, operation in item.items():
        name, responses = operation["operationId"], operation["responses"]
        typed = operation["description"].split("```bash\n")[1].split("\n```")[0]
        streams = "text/event-stream" in responses.get("200", {}).get("content", {})
        env = {
            "PATH": os.environ["PATH"],
            "TAP_URL": url,
            "TAP_API_KEY": key_of(operation) or "",
            "SECONDS_MAX": "1" if streams else "20",
        }
        run = subprocess.run(["bash", "-c", SCRIPT + typed], env=env, cwd=folder.name, capture_output=True, text=True)
        answer, _, status = run.stdout.rpartition("\n")
        # 28: the time is up, as it has to be for a stream, if there is something to follow.
        ended = run.returncode == (28 if streams and status != "404" else 0)
        good = ended and status in responses and (int(status) < 400 or status in ("404", "409"))
        count += 1
        if not good or (streams and not answer.startswith("{")):
            wrong += 1
            print(f"{name}: {status}, curl ended with {run.returncode}\n{typed}\n{answer}{run.stderr}")
print(f"{count} examples run by curl, {wrong} wrong")
sys.exit(1 if wrong else 0)
