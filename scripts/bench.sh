#!/usr/bin/env bash
# The speed figures, each beside its base in one run of about ten minutes on two quiet cores.
set -euo pipefail
cd "$(dirname "$0")/.."

echo "== machine"
lscpu | grep -E '^(Model name|CPU\(s\))' || true
uname -sr
rustc --version
echo "== memory"
cargo bench --locked --quiet -p benches --bench memory
echo "== a click in memory, beside its primitives"
cargo bench --locked --quiet -p benches --bench buy
echo "== confirmation, by orders a commit"
cargo bench --locked --quiet -p benches --bench confirm
echo "== over HTTP, beside a bare route"
cargo build --release --locked --quiet -p gateway -p benches
"${CARGO_TARGET_DIR:-target}/release/http" "$@"
