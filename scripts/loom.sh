#!/usr/bin/env bash
# Runs the loom models and their twins. The models need a build of their own, in target/loom. With `--deep` they are
# tried with up to five preemptions instead of three, for as long as it takes; with `--table` docs/correctness.md gets
# a table of them. Other arguments go on to `cargo test`.
set -euo pipefail
cd "$(dirname "$0")/.."
export RUSTFLAGS="--cfg flash_loom -C debug-assertions"
export CARGO_TARGET_DIR=$PWD/target/loom
# Linking as for users would take longer than the models.
export CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16
case ${1:-} in
  --deep)
    shift
    export LOOM_MAX_PREEMPTIONS=5 LOOM_TABLE=1
    ;;
  --table)
    said=$(LOOM_TABLE=1 cargo test --release --locked -p loom-tests)
    { echo "| model | threads | preemptions | interleavings |"; echo "| --- | --- | --- | --- |"
      sed -n 's/^.*\(| [a-z].* |\)$/\1/p' <<<"$said" | sort -u; } |
      scripts/measured.py models "scripts/loom.sh --table"
    exit
    ;;
esac
exec cargo test --quiet --release -p loom-tests "$@"
