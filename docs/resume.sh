#!/usr/bin/env bash
# Shows that a stream which is cut and resumed misses no tap and repeats none.
#
#   docs/resume.sh
#
# Opens GET /v1/taps:stream, records numbered taps by POST /v1/taps one after the other, and meanwhile
# kills the reader of the stream again and again, often in the middle of a line. Each time it opens the
# stream anew with the last token that it read, ?resumeToken=..., and at the end it counts:
#
#   sent 200, received 200, missing 0, repeated 0
#
# The exit status says whether that was so. Taps of others, such as those that `make up` simulates, pass
# by and are left alone.
#
# Addresses and keys are those of a running `make up`, or of the environment:
#
#   TAP_URL               Envoy, such as http://localhost:3000
#   TAP_API_KEY           a key that may read, of a team that has taps
#   TAP_WRITER_API_KEY    a key of the same team that may record
#   TAPS=200              how many taps to record
set -euo pipefail

die() {
    printf 'error: %s\n' "$@" >&2
    exit 1
}

if [ -z "${TAP_URL:-}" ]; then
    demo_env=$(dirname -- "${BASH_SOURCE[0]}")/../.local/demo.env
    [ -r "$demo_env" ] || die "there is no .local/demo.env: start everything with 'make up', or set TAP_URL and the keys."
    # shellcheck source=/dev/null
    . "$demo_env"
fi
: "${TAP_API_KEY:?is not set}" "${TAP_WRITER_API_KEY:?is not set}"
taps=${TAPS:-200}

work=$(mktemp -d)
reader='' sender=''
trap 'kill $reader $sender 2>/dev/null || true; rm -rf "$work"' EXIT

# Any tag of the team will do: the busiest.
answer=$(curl --silent --show-error --fail-with-body --header "x-api-key: $TAP_API_KEY" \
    "$TAP_URL/v1/taps:query?startDate=2000-01-01&endDate=2199-12-31&groupBy=TAG&limit=1") ||
    die "a query failed: $answer"
[[ $answer =~ \"groups\":\[\{\"key\":\"([^\"]+)\" ]] || die "the team has no taps yet, so no tag is known."
tag=${BASH_REMATCH[1]}

# The ids of this run's taps: this, and the number in twelve digits.
run=$(printf '%04x%04x-0000-4000-8000-' $RANDOM $RANDOM)

# Records the taps. With an id of its own each can be sent again when a call fails, and counts once.
send_taps() {
    local number tap
    for ((number = 1; number <= taps; number++)); do
        tap=$(printf '{"tagUid": "%s", "tapId": "%s%012d", "tappedAt": "%s"}' \
            "$tag" "$run" $number "$(date -u +%Y-%m-%dT%H:%M:%SZ)")
        curl --silent --show-error --fail-with-body --retry 5 --retry-connrefused \
            --header "x-api-key: $TAP_WRITER_API_KEY" --header 'content-type: application/json' \
            --data "{\"taps\": [$tap]}" "$TAP_URL/v1/taps" >"$work/answer"
        grep --quiet '"rejected":\[\]' "$work/answer"
        sleep 0.03
    done
}

# open_stream: from the last token on; without one, from now on.
token=''
open_stream() {
    local resume=()
    if [ -n "$token" ]; then resume=(--data-urlencode "resumeToken=$token"); fi
    rm -f "$work/lines"
    : >"$work/lines"
    curl --silent --show-error --fail-with-body --no-buffer --get "${resume[@]}" \
        --header "x-api-key: $TAP_API_KEY" --header 'accept: application/x-ndjson' \
        "$TAP_URL/v1/taps:stream" >>"$work/lines" 2>&1 &
    reader=$!
    disown # bash has nothing to say when it is killed: we do
}

# cut_stream: kills the reader, then takes in what it has read. A line without its end was cut: it counts
# for nothing, as the token in it is not known, and so it comes again.
declare -A times=()
lines=0 others=0
cut_stream() {
    local line
    kill -0 "$reader" 2>/dev/null || die "the stream ended by itself: $(tail -n 1 "$work/lines")"
    kill -KILL "$reader"
    lines=0
    while IFS= read -r line; do
        lines=$((lines + 1))
        if [[ $line =~ \"tapId\":\"${run}0*([0-9]+)\" ]]; then
            times[${BASH_REMATCH[1]}]=$((${times[${BASH_REMATCH[1]}]:-0} + 1))
        elif [[ $line == '{"tap":'* ]]; then
            others=$((others + 1))
        fi
        if [[ $line =~ \"resumeToken\":\"([^\"]+)\" ]]; then token=${BASH_REMATCH[1]}; fi
    done <"$work/lines"
}

# The first token is in the first line: from here on nothing may be missed.
open_stream
for ((waited = 0; waited < 100; waited++)); do
    if read -r _ <"$work/lines"; then break; fi
    sleep 0.1
done
[ $waited -lt 100 ] || die "the stream says nothing for 10 s: $(cat "$work/lines")"

echo "records $taps taps, and cuts the stream meanwhile:"
send_taps &
sender=$!
cuts=0
while kill -0 "$sender" 2>/dev/null; do
    sleep "0.$((RANDOM % 8 + 1))"
    cut_stream
    cuts=$((cuts + 1))
    echo "  cut $cuts: $lines lines were read, ${#times[@]} of the taps so far"
    # Nobody reads now, and taps come in all the same.
    sleep "0.$((RANDOM % 5))"
    open_stream
done
wait "$sender" || die "a tap could not be recorded: $(cat "$work/answer")"
sender=''

# What is still to come, for as long as something does.
for ((left = 20; left > 0 && ${#times[@]} < taps; left--)); do
    sleep 0.5
    cut_stream
    open_stream
done
# One that came again would be next.
sleep 0.5
cut_stream

repeated=0
for count in "${times[@]}"; do repeated=$((repeated + count - 1)); done
missing=$((taps - ${#times[@]}))
echo "sent $taps, received ${#times[@]}, missing $missing, repeated $repeated ($cuts cuts; $others taps of others passed by)"
[ $missing -eq 0 ] && [ $repeated -eq 0 ]
