#!/usr/bin/env bash
# make api-test: holds the description of the API against what Envoy really answers, with the service and a
# PostgreSQL made for this run.
#
#   api-test.sh [SEED]   the same seed makes the same requests; another number makes others
#
# First every curl of the description is run as it stands there. Then schemathesis makes requests, good and
# bad, from the schemas, and looks whether each answer is one that the description has. What is missing is
# installed: schemathesis from PyPI into .local/, and what envoy.sh and postgres.sh need.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"
cd "$top"

package='schemathesis==4.32.5'
seed=${1:-20230101}
[[ $# -le 1 && $seed =~ ^[0-9]+$ ]] || {
    sed -n '5s/^#   //p' "${BASH_SOURCE[0]}" >&2
    exit 2
}

# Of the checks of schemathesis all that can hold. Not among them:
#   negative_data_rejection   JSON is read as protobuf has it: enum values by number, numbers as text, null as
#                             nothing, names that are not known passed over; and of a batch each bad tap is
#                             rejected by itself, with 200
#   positive_data_acceptance  a schema cannot say that the end of a range comes after its start
#   unsupported_method        Envoy refuses methods that it has never heard of as no HTTP, with 400; that others
#                             get 405 is tested in tests/it/envoy.rs
#   use_after_free, ensure_resource_availability, object_level_authorization
#                             what is ended is still shown: a revoked key, an archived tag
checks=not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance
checks+=,response_schema_conformance,ignored_auth,missing_required_header,allow_header_conformance

need_cargo
have curl || need_debian curl
have setpriv || need_debian util-linux
envoy=$(scripts/envoy.sh install)
venv=$local_dir/schemathesis
if [ "$(cat "$venv/installed" 2>/dev/null)" != "$package" ]; then
    progress "installing schemathesis from PyPI ($package)"
    python_with_venv
    mkdir -p "$local_dir/log"
    rm -rf "$venv"
    { "$python" -m venv "$venv" && "$venv/bin/pip" install --disable-pip-version-check "$package"; } \
        </dev/null >"$local_dir/log/schemathesis-install.log" 2>&1 || {
        tail -n 10 "$local_dir/log/schemathesis-install.log" >&2
        die "schemathesis could not be installed from PyPI." "All of the output is in .local/log/schemathesis-install.log."
    }
    printf '%s\n' "$package" >"$venv/installed"
fi
progress "building the program"
cargo build --quiet --locked --bin tap-analytics || die "the build failed."
program=$(realpath -- "${CARGO_TARGET_DIR:-target}")/debug/tap-analytics

throw_away_cluster
mkdir -p "$local_dir/log"
progress "starting PostgreSQL, the service and Envoy, with the sample data"
DATABASE_URL=$(scripts/postgres.sh start "$cluster")
export DATABASE_URL
log=$local_dir/log/api-test.log
{ "$program" migrate && "$program" seed --tags data/tags.csv --taps data/taps.csv --coupons data/coupons.json --team 1; } >"$log" 2>&1 ||
    die "the sample data could not be loaded." "All of the output is in .local/log/api-test.log."
# make_key TEAM PRESET
make_key() {
    "$program" keys create --team "$1" --name "$2" --preset "$2" --queries-per-hour 1000000 2>>"$log"
}
# Who manages keys could end those of the others: it does so in a team of its own.
reader=$(make_key team-1 reader) writer=$(make_key team-1 writer)
tagger=$(make_key team-1 admin) manager=$(make_key team-2 admin)
export TAP_KEY_TAPS_READ=$reader TAP_KEY_TAPS_WRITE=$writer TAP_KEY_TAGS_WRITE=$tagger TAP_KEY_KEYS_MANAGE=$manager
export TAP_KEY_EVENTS_READ=$reader TAP_KEY_EVENTS_WRITE=$writer
export TAP_KEY_COUPONS_READ=$reader TAP_KEY_COUPONS_WRITE=$tagger TAP_KEY_COUPONS_REDEEM=$writer
# Who erases customers has to be able to look at what they said, besides: an admin, as only that looks.
export TAP_KEY_DIALOGS_READ=$tagger TAP_KEY_DIALOGS_WRITE=$tagger
export TAP_KEY_IMPORTS_READ=$tagger TAP_KEY_IMPORTS_WRITE=$tagger
TAP_KEY_ID=$("$program" keys list --team team-2 | awk -F '\t' '$NF == "admin" { print $1 }')
export TAP_KEY_ID

read -r http grpc admin envoy_admin < <("$venv/bin/python" -c '
import socket
ports = [socket.create_server(("127.0.0.1", 0)) for _ in range(4)]
print(*(port.getsockname()[1] for port in ports))')
folder=$cluster/api
mkdir "$folder"
"$program" descriptors >"$folder/tap.binpb"
scripts/envoy.sh render "$http" "$grpc" "$envoy_admin" "$folder/tap.binpb" >"$folder/envoy.yaml"
# They end with this shell, however that ends. The one proxy is tests/api/hooks.py, which says where a call is from.
TAP_PROXIES=1 TAP_HOST=127.0.0.1 TAP_GRPC_PORT=$grpc TAP_ADMIN_PORT=$admin \
    setpriv --pdeathsig KILL -- "$program" serve >>"$log" 2>&1 &
setpriv --pdeathsig KILL -- "$envoy" -c "$folder/envoy.yaml" --disable-hot-restart --log-level warning \
    >"$local_dir/log/api-test-envoy.log" 2>&1 &
url=http://127.0.0.1:$http
for _ in {1..150}; do
    curl --silent --fail --output "$folder/openapi.json" "$url/openapi.json" && break
    sleep 0.2
done
[ -s "$folder/openapi.json" ] || die "the service did not come up behind Envoy." "The logs are .local/log/api-test*.log."

status=0
# try_keys: each is let in. One that has been goes on working also when many wrong ones come from here.
try_keys() {
    local key answer
    for key in "$reader" "$writer" "$tagger" "$manager"; do
        answer=$(curl --silent --fail-with-body --header "x-api-key: $key" "$url/v1/whoami") || {
            say "error: a key does not work: $answer"
            status=1
        }
    done
}
try_keys

export PYTHONPATH=$top/tests/api PYTHONDONTWRITEBYTECODE=1 SCHEMATHESIS_HOOKS=hooks
progress "running the examples"
"$venv/bin/python" tests/api/curls.py "$url" "$folder/openapi.json" || status=1

# Streams do not end: tests/it/streams.rs holds their frames against the description.
mapfile -t streams < <("$venv/bin/python" -c '
import json, sys
for item in json.load(open(sys.argv[1]))["paths"].values():
    for operation in item.values():
        if "text/event-stream" in operation["responses"].get("200", {}).get("content", {}):
            print("--exclude-operation-id=" + operation["operationId"])' "$folder/openapi.json")
progress "making requests from the schemas, by seed $seed"
(cd "$folder" && timeout 480 "$venv/bin/schemathesis" run "$url/openapi.json" --checks "$checks" "${streams[@]}" \
    --max-examples 60 --seed "$seed" --generation-database none --continue-on-failure --warnings off) || status=1
# With a key that had ended on the way, the rest would have been refusals only.
try_keys
exit $status
