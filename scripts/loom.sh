#!/usr/bin/env bash
# Runs the loom models and their twins. The models need a build of their own, in target/loom.
set -euo pipefail
cd "$(dirname "$0")/.."
export RUSTFLAGS="--cfg flash_loom -C debug-assertions"
export CARGO_TARGET_DIR=$PWD/target/loom
# Linking as for users would take longer than the models.
export CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16
exec cargo test --quiet --release -p loom-tests "$@"
