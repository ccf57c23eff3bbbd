#!/usr/bin/env bash
# make up: everything on this machine, in the foreground; Ctrl-C stops all of it.
#
# Builds the web page and the service, starts PostgreSQL (unless DATABASE_URL is set), makes the schema,
# loads the sample data, starts the service and Envoy, has some taps and visits simulated, in which coupons are seen
# and redeemed, and says how to use them. The first time the two weeks before are filled with simulated taps and
# visits too; nothing is redeemed in these.
# All that it makes is in .local: the database (pg), logs (log), and demo.env with addresses and keys for
# scripts to source.
#
#   TAP_HTTP_PORT=3000          Envoy: JSON, gRPC-web, gRPC
#   TAP_GRPC_PORT=50051         the service itself
#   TAP_ADMIN_PORT=9464         the service's health and metrics
#   TAP_ENVOY_ADMIN_PORT=9901   Envoy's own pages
#   TAP_SIMULATE_RATE=0.5       simulated taps a second, on average; after one of four comes a visit
#   TAP_SIMULATE=0              simulate none
#   TAP_PUBLIC=1                let other machines reach Envoy; otherwise only this one can
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"
cd "$top"

http_port=${TAP_HTTP_PORT:-3000}
export TAP_GRPC_PORT=${TAP_GRPC_PORT:-50051}
export TAP_ADMIN_PORT=${TAP_ADMIN_PORT:-9464}
envoy_admin_port=${TAP_ENVOY_ADMIN_PORT:-9901}
export TAP_HOST=127.0.0.1
program=${CARGO_TARGET_DIR:-target}/up/tap-analytics
logs=$local_dir/log
demo_env=$local_dir/demo.env

# --- one at a time, on free ports -------------------------------------------------------------------

mkdir -p "$logs"
exec 8>>"$local_dir/up.lock"
if ! flock --nonblock 8; then
    read -r pid url <"$local_dir/up.lock" || true
    die "make up is running already in this checkout (process ${pid:-unknown})${url:+: $url}" \
        "Stop it there with Ctrl-C${pid:+, or type: kill $pid}"
fi
url=http://localhost:$http_port
printf '%s %s\n' $$ "$url" >"$local_dir/up.lock"

# check_port VARIABLE PORT WHAT
used_ports=' '
check_port() {
    if ! [[ $2 =~ ^[1-9][0-9]{0,4}$ ]] || [ "$2" -gt 65535 ]; then
        die "$1 is '$2', which is not a port." "A port is a number from 1 to 65535."
    fi
    [[ $used_ports != *" $2 "* ]] || die "port $2 is wanted twice." "Give $1 another number."
    used_ports+="$2 "
    ! port_in_use "$2" || die "port $2 ($3) is in use by another program." \
        "Stop that program, or choose another port: $1=$(free_port "$2") make up"
}

free_port() {
    local port=$1
    while port=$((port % 65535 + 1)) && { port_in_use $port || [[ $used_ports == *" $port "* ]]; }; do :; done
    printf '%s' $port
}

check_port TAP_HTTP_PORT "$http_port" "Envoy: JSON, gRPC-web, gRPC"
check_port TAP_GRPC_PORT "$TAP_GRPC_PORT" "the service: gRPC"
check_port TAP_ADMIN_PORT "$TAP_ADMIN_PORT" "the service: health and metrics"
check_port TAP_ENVOY_ADMIN_PORT "$envoy_admin_port" "Envoy: its own pages"

# --- whatever happens, nothing is left running ------------------------------------------------------

service='' envoy='' simulation='' own_postgres='' ready=''
# Where bash would speak of processes that ended, stderr is closed; to us it is open here.
exec 7>&2

# end PID NAME SECONDS: asks a part to stop, and makes it stop if it does not.
end() {
    local until=$((SECONDS + $3))
    kill -TERM "$1" 2>/dev/null || true
    while kill -0 "$1" 2>/dev/null; do
        if [ $SECONDS -ge $until ]; then
            say "$2 does not stop within $3 s: killed."
            make_end "$1"
            break
        fi
        sleep 0.05
    done
}

# make_end PID: at once, without a word of bash about it.
make_end() { { kill -KILL "$1" && wait "$1"; } 2>/dev/null || true; }

# stop_time: how many seconds the service may take to stop, and some more. It has TAP_STOP_MS for the
# calls in flight, and as long again for what is yet to be written.
stop_time() {
    local drain=${TAP_DRAIN_MS:-0} stop=${TAP_STOP_MS:-20000}
    [[ $drain =~ ^[0-9]{1,9}$ ]] || drain=0
    [[ $stop =~ ^[0-9]{1,9}$ ]] || stop=20000
    printf '%s' $(((10#$drain + 2 * 10#$stop) / 1000 + 5))
}

# The service before Envoy, so that an open stream gets its last frame, and before PostgreSQL, so that
# what it holds is written.
stop_all() {
    trap '' INT TERM HUP
    exec 2>&7
    if [ -n "$envoy$service$own_postgres" ]; then progress "stopping"; fi
    if [ -n "$simulation" ]; then
        # Without the service nobody answers it: it would wait in vain.
        kill -0 "$service" 2>/dev/null || make_end "$simulation"
        end "$simulation" "the simulation" 10
    fi
    if [ -n "$service" ]; then end "$service" "the service" "$(stop_time)"; fi
    if [ -n "$envoy" ]; then end "$envoy" Envoy 10; fi
    if [ -n "$own_postgres" ]; then scripts/postgres.sh stop "$local_dir/pg" 8>&- || true; fi
    : >"$local_dir/up.lock"
}
trap stop_all EXIT
# Once everything runs, to be told to stop is the normal end.
trap '[ -n "$ready" ] && exit 0; exit 130' INT
trap '[ -n "$ready" ] && exit 0; exit 143' TERM HUP

# part_failed WHAT LOG
part_failed() {
    exec 2>&7
    say ""
    say "the last lines of $2:"
    tail -n 20 "$2" | sed 's/^/  | /' >&2 || true
    die "$1" "All of its log is in $2."
}

# alive PID NAME LOG: or all of it ends.
alive() {
    local status=0
    ! kill -0 "$1" 2>/dev/null || return 0
    wait "$1" 2>/dev/null || status=$?
    if [ $status -gt 128 ]; then
        exec 2>&7
        die "$2 was killed (signal $((status - 128))): its log is $3, and 'make up' starts it again."
    fi
    part_failed "$2 has stopped." "$3"
}

# start LOG CMD..: in the background, away from the terminal: Ctrl-C must not stop all parts at once,
# but stop_all one after the other. Should this shell be killed, they are told to stop all the same.
start() {
    local log=$1 away=()
    shift
    if have setsid; then away+=(setsid); fi
    if have setpriv && setpriv --pdeathsig TERM true 2>/dev/null; then away+=(setpriv --pdeathsig TERM --); fi
    "${away[@]}" "$@" </dev/null >"$log" 2>&1 7>&- 8>&- &
}

# --- what is needed ---------------------------------------------------------------------------------

need_cargo
have curl || need_debian curl ca-certificates
envoy_program=$(scripts/envoy.sh install 8>&-)

# First the page: it becomes part of the program.
scripts/web.sh 8>&-
progress "building (the first time takes some minutes)"
cargo build --profile up --locked --bin tap-analytics 8>&- ||
    die "the build failed." "If the compiler is too old, type: rustup update stable"

private=$(scripts/postgres.sh url "$local_dir/pg" 8>&- || true)
if [ -n "${DATABASE_URL:-}" ] && [ "$DATABASE_URL" != "$private" ]; then
    progress "using the PostgreSQL of DATABASE_URL"
    if [ -z "${TAP_DB_APP_PASSWORD:-}" ] || [ -z "${TAP_DB_SYSTEM_PASSWORD:-}" ]; then
        say "    TAP_DB_APP_PASSWORD and TAP_DB_SYSTEM_PASSWORD are not both set: the roles tap_app and"
        say "    tap_system can connect only if this server asks them for no password."
    fi
else
    progress "starting PostgreSQL"
    own_postgres=1
    DATABASE_URL=$(scripts/postgres.sh start "$local_dir/pg" 7>&- 8>&-)
fi
export DATABASE_URL

progress "bringing the schema up to date"
"$program" migrate </dev/null >"$logs/migrate.log" 2>&1 8>&- ||
    part_failed "the schema could not be made." .local/log/migrate.log

progress "loading the sample data (only what is not there yet)"
seeded=$("$program" seed --tags data/tags.csv --taps data/taps.csv --coupons data/coupons.json --team 1 </dev/null 8>&-) ||
    die "the sample data could not be loaded." "See above for the reason."

# --- keys, kept from run to run ---------------------------------------------------------------------

# kept VARIABLE: from demo.env, if that was written for this database. The keys of older versions, which
# did not say so, may do less.
kept() (
    now=$DATABASE_URL
    unset "$1" TAP_DEMO_KEYS
    # shellcheck source=/dev/null
    . "$demo_env" && [ "$DATABASE_URL" = "$now" ] && [ "${TAP_DEMO_KEYS:-}" = imports ] && printf '%s' "${!1:-}"
)

# key_of TEAM PRESET VARIABLE: an admin's of this run's seeding, else of the last run if that had this
# database, else new.
key_of() {
    local key=''
    if [ "$2" = admin ]; then
        key=$(awk -v team="$1" '$1 == team { print $2; exit }' <<<"$seeded")
    fi
    if [ -z "$key" ] && [ -r "$demo_env" ]; then
        key=$(kept "$3") || true
    fi
    if [ -z "$key" ]; then
        key=$("$program" keys create --team "$1" --preset "$2" --name "demo $2" </dev/null 2>"$logs/keys.log" 8>&-) ||
            part_failed "no key could be made for $1." .local/log/keys.log
    fi
    printf '%s' "$key"
}

key=$(key_of team-1 admin TAP_API_KEY)
reader_key=$(key_of team-1 reader TAP_READER_API_KEY)
writer_key=$(key_of team-1 writer TAP_WRITER_API_KEY)
other_key=$(key_of team-2 admin TAP_OTHER_TEAM_API_KEY)
(
    umask 077
    rm -f "$demo_env.new"
    {
        printf '# Written by make up. Delete it to get new keys at the next start.\n'
        printf '%s=%s\n' TAP_URL "$(quote "$url")" TAP_GRPC "$(quote "localhost:$TAP_GRPC_PORT")" \
            TAP_API_KEY "$(quote "$key")" TAP_READER_API_KEY "$(quote "$reader_key")" \
            TAP_WRITER_API_KEY "$(quote "$writer_key")" TAP_DEMO_KEYS imports \
            TAP_OTHER_TEAM_API_KEY "$(quote "$other_key")" DATABASE_URL "$(quote "$DATABASE_URL")"
    } >"$demo_env.new"
    mv "$demo_env.new" "$demo_env"
)

# --- the service and Envoy --------------------------------------------------------------------------

progress "starting the service and Envoy"
start .local/log/service.log env NO_COLOR=1 "$program" serve
service=$!
mkdir -p "$local_dir/envoy"
"$program" descriptors >"$local_dir/envoy/tap.binpb" 8>&-
scripts/envoy.sh render "$http_port" "$TAP_GRPC_PORT" "$envoy_admin_port" .local/envoy/tap.binpb >"$local_dir/envoy/envoy.yaml"

# http_status URL: 000 when nobody answers.
http_status() { curl --silent --output /dev/null --max-time 5 --noproxy '*' --write-out '%{http_code}' "$1" 8>&- || true; }

service_alive() { alive "$service" "the service" .local/log/service.log; }
envoy_alive() { alive "$envoy" Envoy .local/log/envoy.log; }

until_second=$((SECONDS + 60))
until [ "$(http_status "http://127.0.0.1:$TAP_ADMIN_PORT/readyz")" = 200 ]; do
    service_alive
    [ $SECONDS -lt $until_second ] || part_failed "the service is not ready after 60 s." .local/log/service.log
    sleep 0.1
done 2>/dev/null
service_alive

start .local/log/envoy.log "$envoy_program" -c .local/envoy/envoy.yaml --disable-hot-restart --log-level warning
envoy=$!
# A query without a key: any answer of the service will do.
until status=$(http_status "http://127.0.0.1:$http_port/v1/taps:query") && [ "$status" != 000 ] && [ "$status" != 503 ]; do
    envoy_alive
    service_alive
    [ $SECONDS -lt $until_second ] || part_failed "Envoy does not answer after 60 s." .local/log/envoy.log
    sleep 0.1
done 2>/dev/null
envoy_alive

# --- taps, visits and coupons, for something to look at ----------------------------------------------

simulation_alive() { [ -z "$simulation" ] || alive "$simulation" "the simulation" .local/log/simulate.log; }

# Two weeks to look at, where this run has made the team: a database that was there before is left as it is.
since=()
if grep -q '^team-1 ' <<<"$seeded"; then since=(--since 14d); fi

if [ "${TAP_SIMULATE:-1}" != 0 ]; then
    # An admin's key: a writer may redeem coupons, but not look which there are.
    TAP_API_KEY=$key start .local/log/simulate.log "$program" simulate --url "http://localhost:$TAP_GRPC_PORT" \
        --rate "${TAP_SIMULATE_RATE:-0.5}" "${since[@]}"
    simulation=$!
    # A rate that is none ends it at once.
    sleep 0.2 8>&-
    simulation_alive
fi

# A tag of the first team that leads somewhere.
tag=$(awk -F, '$2 == 1 && $6 != "" { print $1; exit }' data/tags.csv)

cat <<END

tap-analytics runs:
  web page            $url/ (paste the key: $reader_key)
  JSON, gRPC-web      $url (Envoy)
  gRPC                localhost:$TAP_GRPC_PORT
  health, metrics     http://localhost:$TAP_ADMIN_PORT/readyz and /metrics
  logs                .local/log
  keys and addresses  .local/demo.env, to be sourced

Try it:

curl --request POST --url $url/v1/api/tap/analytics \\
  --header 'Content-Type: application/json' --header 'x-api-key: $key' \\
  --data '{ "startDate": "2023-01-01", "endDate": "2023-12-22", "interval": "week" }'

See taps as they come:

curl --no-buffer --header "x-api-key: $key" --header "accept: text/event-stream" $url/v1/taps:stream

Make one, as a phone does that is held to a tag; then it is led to where the tag leads:

$url/t/team-1/$tag

Look into the database:

(. .local/demo.env && psql "\$DATABASE_URL")

Ctrl-C stops all of it.
ready: $url
END
ready=1

# --- until told to stop, or until a part dies -------------------------------------------------------

postgres=''
# A dead process that nobody has collected yet, state Z, is not alive.
postgres_alive() { [ -n "$postgres" ] && read -r _ _ state _ <"/proc/$postgres/stat" && [ "$state" != Z ]; } 2>/dev/null

# A restart of PostgreSQL by hand is none of our business: it counts as dead when it stays down.
down=0
while :; do
    sleep 1 8>&- &
    wait $! || true
    service_alive
    envoy_alive
    simulation_alive
    if [ -z "$own_postgres" ] || postgres_alive || postgres=$(scripts/postgres.sh pid "$local_dir/pg" 8>&-); then
        down=0
    elif [ $((down += 1)) -ge 10 ]; then
        part_failed "PostgreSQL has stopped." .local/pg/log
    fi
done 2>/dev/null
