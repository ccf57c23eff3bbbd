# Shared by the scripts beside it. To be sourced, after `set -euo pipefail`.
# shellcheck shell=bash

# The top of the repository, and where everything goes that the scripts make.
top=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." >/dev/null && pwd -P)
local_dir=$top/.local

# What a person should read goes to stderr: the stdout of a script is its result.
say() { printf '%s\n' "$*" >&2 || true; }
progress() { say "==> $*"; }

# die WHAT [WHAT_TO_DO..]: says what went wrong, then what to do next, a line each.
die() {
    say "error: $1"
    shift
    local line
    for line; do say "  $line"; done
    exit 1
}

have() { command -v "$1" >/dev/null 2>&1; }

is_root() { [ "$(id -u)" -eq 0 ]; }

can_sudo() { have sudo && sudo -n true 2>/dev/null; }

# as_root CMD..: for root, and for those whose sudo asks for no password.
as_root() {
    if is_root; then "$@"; else sudo -n "$@"; fi
}

# need_debian PKG..: installs what is missing, or says the one line to type.
need_debian() {
    local pkg missing=() log
    if ! have apt-get || ! have dpkg-query; then
        die "this needs the Debian packages: $*" \
            "This system has no apt-get: install the same from its own packages, then run this again."
    fi
    for pkg; do
        [ "$(dpkg-query -W -f='${db:Status-Status}' "$pkg" 2>/dev/null)" = installed ] || missing+=("$pkg")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    is_root || can_sudo || die "this needs the Debian packages: ${missing[*]}" \
        "Type this, then run it again:" \
        "  sudo apt-get update && sudo apt-get install -y ${missing[*]}"

    progress "installing Debian packages: ${missing[*]}"
    mkdir -p "$local_dir/log"
    log=$local_dir/log/apt.log
    # The package lists of a bare machine are empty or old: then once more after an update.
    if ! apt_install "${missing[@]}" >"$log" 2>&1; then
        { as_root apt-get update && apt_install "${missing[@]}"; } >>"$log" 2>&1 || {
            tail -n 15 "$log" >&2
            die "apt-get could not install: ${missing[*]}" "All of its output is in $log."
        }
    fi
}

apt_install() {
    as_root env DEBIAN_FRONTEND=noninteractive UCF_FORCE_CONFFOLD=1 \
        apt-get install -y --no-install-recommends -o DPkg::Lock::Timeout=300 \
        -o Dpkg::Options::=--force-confold "$@" </dev/null
}

# Rust and what it links with. On CI Rust is installed too; on a desk that is for its owner to do.
need_cargo() {
    have cargo || PATH=${CARGO_HOME:-$HOME/.cargo}/bin:$PATH
    have cc || need_debian gcc libc6-dev
    have cargo && return 0
    if [ -n "${CI:-}" ]; then
        have curl || need_debian curl ca-certificates
        progress "installing Rust by rustup"
        curl --proto '=https' --tlsv1.2 -sSf https://static.rust-lang.org/rustup/rustup-init.sh |
            sh -s -- -y -q --profile minimal --component clippy,rustfmt >&2
        have cargo && return 0
    fi
    die "cargo is not there: this is built with Rust." \
        "Type this, then run it again:" \
        "  curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh -s -- -y && . \"\$HOME/.cargo/env\""
}

# Sets python: one that can make a venv with pip in it.
python_with_venv() {
    for python in python3 /usr/bin/python3; do
        if "$python" -c 'import ensurepip, venv' 2>/dev/null; then return 0; fi
    done
    need_debian python3-venv
    python=/usr/bin/python3
}

# PostgreSQL refuses to run as root: then it runs as this user.
postgres_user() {
    local user
    for user in postgres nobody; do
        if id -u "$user" >/dev/null 2>&1; then
            printf '%s\n' "$user"
            return 0
        fi
    done
    die "there is neither a user 'postgres' nor a user 'nobody' to run PostgreSQL as." \
        "Make one: useradd --system postgres"
}

# as_user USER CMD..: for root only.
as_user() {
    local user=$1
    shift
    if have setpriv; then
        setpriv --reuid="$user" --regid="$(id -g "$user")" --clear-groups -- "$@"
    elif have runuser; then
        runuser -u "$user" -- "$@"
    else
        die "neither setpriv nor runuser is there to leave root with." "Install the package util-linux."
    fi
}

# quote VALUE: the value as one word for any shell.
quote() { printf "'%s'" "${1//\'/\'\\\'\'}"; }

# Is somebody listening on this port of this machine?
port_in_use() {
    (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null || (exec 3<>"/dev/tcp/::1/$1") 2>/dev/null
}

# throw_away_cluster: sets cluster, a folder for a PostgreSQL without durability that goes with this shell.
throw_away_cluster() {
    cluster=$(mktemp -d "${TMPDIR:-/tmp}/tap-test.XXXXXX")
    export TAP_PG_TEST=1
    trap '"$top/scripts/postgres.sh" remove "$cluster" || true' EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    # Should this shell be killed, the cluster goes all the same.
    (
        trap '' INT TERM HUP
        tail --pid=$$ -f /dev/null
        exec "$top/scripts/postgres.sh" remove "$cluster"
    ) </dev/null >/dev/null 2>&1 &
}
