# Sourced by scripts that run the programs: builds them for release and sets bin to the folder where they are.
# With FLASHLANE_BIN, that folder's programs are taken as they are: check.sh runs what it tested, with its
# assertions and overflow checks, and does not build everything twice.
bin=${FLASHLANE_BIN:-}
if [ -z "$bin" ]; then
  bin=${CARGO_TARGET_DIR:-target}/release
  echo "building (some minutes the first time)" >&2
  cargo build --release --locked --quiet -p gateway -p benches
fi
