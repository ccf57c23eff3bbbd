#!/usr/bin/env bash
# make clean-local: deletes .local, the database of `make up` too.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"

[ -d "$local_dir" ] || exit 0
exec 8>>"$local_dir/up.lock"
flock --nonblock 8 || die "make up is running in this checkout." "Stop it with Ctrl-C, then run this again."
"$top/scripts/postgres.sh" remove "$local_dir/pg"
rm -rf "$local_dir"
