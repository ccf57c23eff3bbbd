#!/usr/bin/env bash
# make test: all tests, against a PostgreSQL made for this run and a real Envoy.
#
#   scripts/test.sh [what cargo nextest run takes, such as a part of a test's name]
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"
cd "$top"

need_cargo
if ! cargo nextest --version >/dev/null 2>&1; then
    progress "installing the test runner (cargo install cargo-nextest: some minutes, once)"
    cargo install cargo-nextest --locked --quiet ||
        die "cargo-nextest could not be installed." "Install it yourself, then run this again: https://nexte.st/docs/installation"
fi
TAP_TEST_ENVOY=$("$top/scripts/envoy.sh" install)

throw_away_cluster

TAP_TEST_DATABASE_URL=$("$top/scripts/postgres.sh" start "$cluster")
export TAP_TEST_DATABASE_URL TAP_TEST_ENVOY

profile=()
if [ -n "${CI:-}" ]; then profile=(--profile ci); fi
status=0
# The examples in comments, which nextest passes over.
if [ $# -eq 0 ]; then cargo test --doc --locked --quiet || status=$?; fi
cargo nextest run --locked "${profile[@]}" "$@" || status=$?
exit $status
