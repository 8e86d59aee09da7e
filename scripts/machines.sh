#!/usr/bin/env bash
# The faults of many machines in their long form, over 300 of them, some fifty minutes; and those of primaries once more
# without waiting for replicas, where orders that were told to be confirmed are lost. Writes both tables into
# docs/measured.md.
set -euo pipefail
cd "$(dirname "$0")/.."

command -v redis-server >/dev/null || { echo "machines: redis-server is missing; on Debian: apt-get install redis-server" >&2; exit 1; }
. scripts/programs.sh
suite=("$bin/faults" --binary "$bin/flashlane" --armed "$bin/flashlane")
table=$(mktemp)
trap 'rm -f "$table"' EXIT
"${suite[@]}" --long --only many-owners,many-fronts,many-cut,many-primaries | tee "$table"
scripts/measured.py machines scripts/machines.sh <"$table" >/dev/null
status=0
"${suite[@]}" --long --only many-primaries --replicas 0 >"$table" || status=$?
[ "$status" = 0 ] || [ "$status" = 3 ]
# What is lost is the point of this table, and the row says how much.
grep '^|' "$table" | scripts/measured.py unreplicated scripts/machines.sh
