#!/usr/bin/env bash
# make lint: format, clippy, the proto files, the scripts, the licences of what is built in.
# Runs everything, then names what failed.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"
cd "$top"

failed=()
# check NAME CMD..
check() {
    local name=$1
    shift
    progress "$name"
    "$@" || failed+=("$name")
}

need_cargo
if ! cargo fmt --version >/dev/null 2>&1 || ! cargo clippy --version >/dev/null 2>&1; then
    have rustup || die "rustfmt and clippy are not there." "Install them from where cargo came from, then run this again."
    progress "installing rustfmt and clippy"
    rustup --quiet component add rustfmt clippy
fi
check "cargo fmt --check" cargo fmt --check
check "cargo clippy" cargo clippy --quiet --all-targets --locked -- -D warnings
check "cargo doc" env RUSTDOCFLAGS="-D warnings" cargo doc --quiet --no-deps --document-private-items --locked

# The proto files.
buf=$local_dir/buf/node_modules/.bin/buf
buf_version=1.75.0
if [ "$("$buf" --version 2>/dev/null)" != $buf_version ]; then
    have npm || need_debian npm
    progress "installing buf $buf_version from npm"
    mkdir -p "$local_dir/buf" "$local_dir/log"
    npm install --silent --no-audit --no-fund --prefix "$local_dir/buf" "@bufbuild/buf@$buf_version" \
        </dev/null >"$local_dir/log/buf-install.log" 2>&1 || {
        tail -n 10 "$local_dir/log/buf-install.log" >&2
        die "buf could not be installed from npm." "All of the output is in .local/log/buf-install.log."
    }
fi
check "buf lint" "$buf" lint

# An API that is out in the world must not break: compare with what has landed.
landed=$(git rev-parse --verify --quiet 'origin/main^{commit}' || true)
if [ -z "$landed" ]; then
    progress "buf breaking: skipped, there is no origin/main to compare with"
elif [ "$landed" = "$(git rev-parse HEAD)" ]; then
    progress "buf breaking: skipped, this is origin/main"
elif [ -z "$(git ls-tree "$landed" proto)" ]; then
    progress "buf breaking: skipped, origin/main has no proto files"
else
    check "buf breaking against origin/main" "$buf" breaking --against ".git#ref=$landed"
fi

# The licences and the known holes of the crates.
if [ -n "${CI:-}" ] && ! cargo deny --version >/dev/null 2>&1; then
    progress "installing cargo-deny (five minutes on two cores, once)"
    cargo install cargo-deny --locked --quiet ||
        die "cargo-deny could not be installed." "Install it yourself, then run this again: https://embarkstudios.github.io/cargo-deny/"
fi
if ! cargo deny --version >/dev/null 2>&1; then
    progress "cargo deny: skipped, it is not installed (cargo install cargo-deny --locked)"
else
    check "cargo deny check bans licenses sources" cargo deny --log-level error check bans licenses sources
    if timeout 20 git ls-remote --quiet https://github.com/RustSec/advisory-db HEAD >/dev/null 2>&1; then
        check "cargo deny check advisories" cargo deny --log-level error check advisories
    else
        progress "cargo deny check advisories: skipped, the advisory database cannot be reached"
    fi
fi

# The scripts.
if [ -n "${CI:-}" ] && ! have shellcheck; then need_debian shellcheck; fi
if have shellcheck; then
    check "shellcheck" shellcheck -x scripts/*.sh docs/*.sh .ci/run
else
    progress "shellcheck: skipped, it is not installed (Debian package shellcheck)"
fi

if [ ${#failed[@]} -gt 0 ]; then
    say ""
    say "failed:"
    for name in "${failed[@]}"; do say "  $name"; done
    say "'make fmt' mends what is only a matter of format."
    exit 1
fi
say "lint: all is well"
