#!/usr/bin/env bash
# A private PostgreSQL in a directory of its own, for `make up` and for the tests.
#
#   postgres.sh start DIR     make it if it is not there, start it, print its DATABASE_URL
#   postgres.sh stop DIR      stop it in an orderly way
#   postgres.sh restart DIR   both
#   postgres.sh kill DIR      SIGKILL the postmaster, for fault tests; `start` recovers from it
#   postgres.sh pid DIR       print the postmaster's process id, or fail when it is down
#   postgres.sh url DIR       print its DATABASE_URL; when it is down, what that would be
#   postgres.sh remove DIR    stop it and delete its data
#
# It listens on a Unix socket only, in a directory that only its user (and root) can enter. The socket
# asks for no password. It runs as you, or, where you are root, as `postgres` or `nobody`; where that
# user cannot reach DIR the data goes to /var/lib/tap-analytics and DIR/data is a link to it.
# The log is DIR/log. TAP_PG_TEST=1 trades safety for speed (no fsync): for data nobody will miss.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"

oldest=15 # the oldest PostgreSQL that the schema is written for

usage() {
    sed -n '4,10s/^#   //p' "${BASH_SOURCE[0]}" >&2
    exit 2
}

[ $# -eq 2 ] || usage
command=$1 dir=$2
unset "${!PG@}" # PGPORT, PGDATA and their like are about other servers
export LC_ALL=C

if is_root; then pg_user=$(postgres_user); else pg_user=$(id -un); fi
as_pg() (
    cd /
    if is_root; then as_user "$pg_user" env HOME=/ "$@"; else "$@"; fi
)

# --- where things are -------------------------------------------------------------------------------

# Sets dir, id and data: the full path of DIR, a short name for it, and where its data is or will be.
locate() {
    dir=$(cd -- "$dir" && pwd -P)
    id=$(printf %s "$dir" | sha256sum | cut -c1-12)
    elsewhere=/var/lib/tap-analytics/$id
    data=$dir/data
    if [ -L "$data" ]; then data=$elsewhere/data; fi
}

# Sets bin: from PATH or from where distributions put it; the version that made the data, else the newest.
find_binaries() {
    local want='' found version
    if [ -f "$data/PG_VERSION" ]; then want=$(cat "$data/PG_VERSION"); fi
    while read -r found; do
        version=$("$found/postgres" --version 2>/dev/null | sed -n 's/^[^0-9]*\([0-9]*\).*/\1/p') || continue
        if [ -z "$version" ] || [ ! -x "$found/initdb" ] || [ ! -x "$found/pg_ctl" ]; then continue; fi
        as_pg test -x "$found/postgres" || continue
        if [ "$version" = "$want" ] || { [ -z "$want" ] && [ "$version" -ge "$oldest" ]; }; then
            bin=$found
            return 0
        fi
    done < <(
        if have initdb; then dirname -- "$(readlink -f "$(command -v initdb)")"; fi
        find /usr/lib/postgresql /usr/pgsql-* -maxdepth 2 -name bin 2>/dev/null | sort -rV
    )
    [ -z "$want" ] || die "the data in $dir was made by PostgreSQL $want, which is not here (any more)." \
        "Install PostgreSQL $want again, or delete the data: scripts/postgres.sh remove $dir"
    return 1
}

install_postgres() {
    # Debian's package would make and start a cluster of its own on port 5432.
    local conf=/etc/postgresql-common/createcluster.conf
    if have apt-get && [ ! -e $conf ] && { is_root || can_sudo; }; then
        as_root mkdir -p "${conf%/*}"
        printf '%s\n' '# The package postgresql makes no cluster when it is installed; see pg_createcluster(8).' \
            'create_main_cluster = false' | as_root tee $conf >/dev/null
    fi
    need_debian postgresql
    if is_root; then pg_user=$(postgres_user); fi
    find_binaries || die "PostgreSQL $oldest or later is not to be found." \
        "Install it, and have initdb, pg_ctl and postgres in PATH; or set DATABASE_URL to a server of yours."
}

# Sets socket: a directory with a short name, since a socket's path ends at 107 bytes.
choose_socket_dir() {
    local base=${TMPDIR:-/tmp}
    base=${base%/}
    if ! [[ $base =~ ^/[A-Za-z0-9/._-]{1,70}$ ]] || ! as_pg test -x "$base"; then base=/tmp; fi
    socket=$base/tap-pg-$id
}

# For the server's user alone.
make_socket_dir() {
    if mkdir -m 700 "$socket" 2>/dev/null; then
        if is_root; then chown "$pg_user" "$socket"; fi
    elif [ -L "$socket" ] || [ ! -d "$socket" ] || [ "$(stat -c %U "$socket")" != "$pg_user" ]; then
        die "$socket is there already and does not belong to the user '$pg_user'." "Delete it, then run this again."
    else
        chmod 700 "$socket"
    fi
}

# --- what runs --------------------------------------------------------------------------------------

# The process id of the postmaster. A postmaster works in its data directory: that tells it from a
# stranger with the same number, which an old pid file may name. In a container even root may not see
# where the processes of others work, hence as_pg.
postmaster() {
    local pid
    pid=$(head -n 1 "$data/postmaster.pid" 2>/dev/null) || return 1
    [[ $pid =~ ^[0-9]+$ ]] && [ "$(as_pg readlink "/proc/$pid/cwd")" = "$data" ] && printf '%s\n' "$pid"
}

# All server processes of this cluster; those of a killed postmaster live on for a moment.
servers() {
    local pid cwd
    while IFS=/ read -r _ _ pid _ cwd; do
        [ "/$cwd" = "$data" ] || continue
        if [[ "$(cat "/proc/$pid/comm" 2>/dev/null)" == post* ]]; then printf '%s\n' "$pid"; fi
    done < <(as_pg find /proc/[0-9]*/cwd -prune -printf '%p%l\n' 2>/dev/null)
}

# wait_gone SECONDS
wait_gone() {
    local until=$((SECONDS + $1))
    while [ -n "$(servers)" ]; do
        [ $SECONDS -lt $until ] || return 1
        sleep 0.05
    done
}

kill_servers() {
    local pids
    mapfile -t pids < <(servers)
    if [ ${#pids[@]} -gt 0 ]; then kill -KILL "${pids[@]}" 2>/dev/null || true; fi
}

url() {
    if postmaster >/dev/null; then socket=$(sed -n 5p "$data/postmaster.pid"); else choose_socket_dir; fi
    printf 'postgres://tap_admin@%s/tap\n' "${socket//\//%2F}"
}

# What a killed server left behind. Only for when none runs: it would be in the way of the next one,
# above all where nobody has collected the dead process and its number still seems to be in use.
clear_leftovers() {
    local at
    at=$(sed -n 5p "$data/postmaster.pid" 2>/dev/null) || return 0
    if [[ $at == */tap-pg-"$id" ]]; then rm -rf "$at"; fi
    rm -f "$data/postmaster.pid"
}

# --- the commands -----------------------------------------------------------------------------------

create() {
    local fresh=$data.new sync=()
    [ ! -e "$data" ] || die "$data is there, but it is not data of PostgreSQL that '$(id -un)' can read." \
        "Was it made by another user? Run this as that user, or delete it."
    if [ -n "${TAP_PG_TEST:-}" ]; then sync=(--no-sync); fi
    rm -rf "$fresh"
    mkdir -m 700 "$fresh"
    if is_root; then chown "$pg_user" "$fresh"; fi
    {
        as_pg "$bin/initdb" -D "$fresh" -U tap_admin --auth-local=trust --auth-host=reject \
            --encoding=UTF8 --locale=C.UTF-8 "${sync[@]}" &&
            as_pg tee -a "$fresh/postgresql.conf" <<<"include 'tap.conf'" &&
            as_pg tee "$fresh/tap.conf" </dev/null &&
            as_pg "$bin/postgres" --single -D "$fresh" postgres <<<'create database tap' &&
            mv "$fresh" "$data"
    } >>"$dir/log" 2>&1 || failed "initdb failed"
}

settings() {
    cat <<END
# Written anew at each start by scripts/postgres.sh.
listen_addresses = ''
unix_socket_directories = '$socket'
max_connections = 300
timezone = 'UTC'
log_timezone = 'UTC'
END
    if [ -n "${TAP_PG_TEST:-}" ]; then
        printf '%s = off\n' fsync synchronous_commit full_page_writes
    fi
}

failed() {
    tail -n 15 "$dir/log" >&2
    die "PostgreSQL: $1." "All of its log is in $dir/log. To begin with an empty one: scripts/postgres.sh remove $dir"
}

start() {
    if postmaster >/dev/null; then
        url
        return 0
    fi
    if is_root; then
        # The user must get through DIR, but nothing in it is for others.
        chmod a+x "$dir"
        if [ ! -e "$data" ] && ! as_pg test -x "$dir"; then
            data=$elsewhere/data
        fi
        if [ "$data" = "$elsewhere/data" ]; then
            mkdir -p "$elsewhere"
            ln -sfn "$data" "$dir/data"
        fi
    fi
    (umask 077 && touch "$dir/log")
    find_binaries || install_postgres
    [ -f "$data/PG_VERSION" ] || create
    # The rest of a killed one must be gone before a new one may touch the data.
    wait_gone 10 || kill_servers
    wait_gone 10 || failed "processes of an earlier one do not end: $(servers | tr '\n' ' ')"
    clear_leftovers
    choose_socket_dir
    make_socket_dir
    settings | as_pg tee "$data/tap.conf" >/dev/null
    # No -l: the log is opened here, so that it may be where the server's user cannot reach.
    as_pg "$bin/pg_ctl" start -s -w -t 120 -D "$data" </dev/null >>"$dir/log" 2>&1 9>&- ||
        failed "it did not start"
    url
}

# stop SIGNAL: INT = orderly, QUIT = at once, with a recovery at the next start.
stop() {
    local pid at=''
    if pid=$(postmaster); then
        at=$(sed -n 5p "$data/postmaster.pid")
        kill -"$1" "$pid" 2>/dev/null || true
        if ! wait_gone 60; then
            say "PostgreSQL does not stop within 60 s: now without waiting for its clients."
            kill -QUIT "$pid" 2>/dev/null || true
            wait_gone 10 || kill_servers
        fi
        rmdir "$at" 2>/dev/null || true
    fi
    clear_leftovers
}

case $command in
start | restart)
    mkdir -p "$dir"
    ;;
stop | kill | pid | url | remove)
    if [ ! -d "$dir" ]; then
        case $command in stop | remove) exit 0 ;; *) exit 1 ;; esac
    fi
    ;;
*) usage ;;
esac
locate

case $command in
pid)
    postmaster
    exit
    ;;
url)
    url
    exit
    ;;
esac

# One at a time in a directory.
exec 9>"$dir/.lock"
flock 9
case $command in
start) start ;;
stop) stop INT ;;
restart)
    stop INT
    start
    ;;
kill)
    pid=$(postmaster) || die "no PostgreSQL runs in $dir." "Start it: scripts/postgres.sh start $dir"
    kill -KILL "$pid"
    wait_gone 1 || kill_servers # a busy server process would notice later
    ;;
remove)
    stop QUIT
    rm -rf "$data" "$data.new" "$dir/data" "$elsewhere" "$dir/log" "$dir/.lock"
    rmdir "$dir" "${elsewhere%/*}" 2>/dev/null || true
    ;;
esac
