#!/usr/bin/env bash
# The page in a real browser: a headless Chromium, through a real Envoy, with the service and a
# PostgreSQL made for this run.
#
#   browser-test.sh [PART_OF_A_NAME]   run the tests, or those whose name has this in it
#   browser-test.sh --screenshot       write docs/page.png, docs/events.png, docs/coupons.png and docs/imports.png
#
# What is missing is installed: chromium from Debian, and what web.sh, envoy.sh and postgres.sh need.
# TAP_TEST_CHROMIUM names another Chromium or Chrome.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"
cd "$top"

usage() {
    sed -n '5,6s/^#   //p' "${BASH_SOURCE[0]}" >&2
    exit 2
}

screenshot='' only=()
case ${1-} in
--screenshot) screenshot=1 ;;
-*) usage ;;
'') ;;
*) only=(--test-name-pattern "$1") ;;
esac
[ $# -le 1 ] || usage

need_cargo
have setpriv || need_debian util-linux
if [ -z "${TAP_TEST_CHROMIUM:-}" ]; then
    TAP_TEST_CHROMIUM=$(command -v chromium || true)
    if [ -z "$TAP_TEST_CHROMIUM" ]; then
        need_debian chromium fonts-dejavu-core
        TAP_TEST_CHROMIUM=$(command -v chromium)
    fi
fi
scripts/web.sh
node_path=$(scripts/web.sh path)
TAP_TEST_ENVOY=$(scripts/envoy.sh install)
progress "building the program"
cargo build --quiet --locked --bin tap-analytics || die "the build failed."
TAP_TEST_PROGRAM=$(realpath -- "${CARGO_TARGET_DIR:-target}")/debug/tap-analytics

throw_away_cluster

DATABASE_URL=$(scripts/postgres.sh start "$cluster")
TAP_TEST_CLUSTER=$cluster
export DATABASE_URL TAP_TEST_CLUSTER TAP_TEST_PROGRAM TAP_TEST_ENVOY TAP_TEST_CHROMIUM
"$TAP_TEST_PROGRAM" migrate 2>"$local_dir/log/browser-migrate.log" ||
    die "the schema could not be made." "$(<"$local_dir/log/browser-migrate.log")"

cd web
export PATH=$node_path:$PATH
if [ -n "$screenshot" ]; then
    progress "taking pictures of the page"
    node --import tsx test/browser/screenshot.ts "$top/docs"
else
    progress "running the tests in $("$TAP_TEST_CHROMIUM" --version 2>/dev/null | grep -o '^[A-Za-z ]*[0-9]*')"
    # The time of a whole file.
    node --import tsx --test --test-concurrency=1 --test-timeout=900000 --test-reporter=spec \
        "${only[@]}" test/browser/*.test.ts
fi
