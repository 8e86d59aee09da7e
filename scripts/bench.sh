#!/usr/bin/env bash
# The speed figures, each case beside its base in one run, written into docs/measured.md with commit,
# machine and date. About half an hour on two quiet cores. Arguments are passed on to `http`.
set -euo pipefail
cd "$(dirname "$0")/.."
bench() { cargo bench --locked --quiet -p benches --bench "$1"; }
# What criterion measured before, perhaps of another commit, must not stand in a table of this one.
rm -rf "${CARGO_TARGET_DIR:-target}/criterion"

echo "== memory"
bench memory | scripts/measured.py memory "scripts/bench.sh"
echo "== a click in memory, beside its primitives"
bench buy
scripts/measured.py --criterion accepted refused kept queue | scripts/measured.py click "scripts/bench.sh"
echo "== as units, members, sales and threads grow"
bench growth | scripts/measured.py growth "scripts/bench.sh"
scripts/misses.py | scripts/measured.py misses "scripts/bench.sh"
echo "== confirmation, by orders a commit"
bench confirm
scripts/measured.py --criterion commit | scripts/measured.py commits "scripts/bench.sh"
scripts/measured.py --criterion redis | scripts/measured.py redis "scripts/bench.sh"
echo "== the members' book"
BOOK_MEMBERS=${BOOK_MEMBERS:-8000000} bench book | scripts/measured.py book "scripts/bench.sh"
echo "== a start"
bench start | scripts/measured.py start "scripts/bench.sh"
echo "== archived sales"
bench archive | scripts/measured.py archive "scripts/bench.sh"
echo "== over HTTP, beside a bare route"
. scripts/programs.sh
"$bin/http" "$@" | scripts/measured.py http "scripts/bench.sh${*:+ $*}"
echo "== instructions of a click, by part"
scripts/instructions.py | scripts/measured.py instructions "scripts/bench.sh"
echo "== batches, by their size"
"$bin/batches" --svg docs/batches.svg | scripts/measured.py batches "scripts/bench.sh"
"$bin/batches" --http2 --sizes 64,512,4096 | scripts/measured.py batches2 "scripts/bench.sh"
echo "== clicks that fronts pass on, by the size of a batch"
"$bin/batches" --passed-on --sizes 64,256,512,4096 | scripts/measured.py passed "scripts/bench.sh"
echo "== clicks at a front, beside clicks at the node that sells"
"$bin/fronts" | scripts/measured.py fronts "scripts/bench.sh"
echo "== an export of the largest sale"
"$bin/export" | scripts/measured.py export "scripts/bench.sh"
echo "== beside open streams, and offered too much"
"$bin/crowd" | scripts/measured.py crowd "scripts/bench.sh"
echo "== latency by load"
"$bin/latency" --svg docs/latency.svg | scripts/measured.py latency "scripts/bench.sh"
echo "== a stampede"
"$bin/stampede" | scripts/measured.py stampede "scripts/bench.sh"
echo "== tokens"
"$bin/tokens" | scripts/measured.py tokens "scripts/bench.sh"
"$bin/plots"
scripts/measured.py --readme
