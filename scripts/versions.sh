#!/usr/bin/env bash
# Two versions on one Redis, under load: an earlier one, by default the last that knew of no nodes, and this one. Builds
# that one from its commit, in target/versions; writes its row into docs/measured.md. It is a long check of its own.
set -euo pipefail
cd "$(dirname "$0")/.."

commit=${1:-9b1672a}
command -v redis-server >/dev/null || { echo "versions: redis-server is missing; on Debian: apt-get install redis-server" >&2; exit 1; }
source=$(mktemp -d)
table=$(mktemp)
trap 'rm -rf "$source" "$table"' EXIT
git archive "$commit" | tar -x -C "$source"
before=$PWD/target/versions/debug/flashlane
(cd "$source" && CARGO_TARGET_DIR="${before%/debug/*}" cargo build --quiet --locked -p gateway --bin flashlane)
. scripts/programs.sh
"$bin/faults" --binary "$bin/flashlane" --armed "$bin/flashlane" --before "$before" --only versions --long | tee "$table"
scripts/measured.py versions "scripts/versions.sh $commit" <"$table" >/dev/null
