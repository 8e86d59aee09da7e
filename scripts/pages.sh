#!/usr/bin/env bash
# Opens the pages in a real Chromium, on a phone's width, and does what members do there. Pictures of each state go
# to target/tmp/pages; with --docs those that the README shows are copied from there. --measure writes how heavy the room is, and how
# fast, into docs/measured.md.
set -euo pipefail
cd "$(dirname "$0")/.."

for tool in chromium chromedriver npm; do
  command -v "$tool" >/dev/null || { echo "pages: $tool is missing; on Debian: apt-get install chromium chromium-driver npm" >&2; exit 1; }
done
tools=${CARGO_TARGET_DIR:-$PWD/target}/axe
npm install --silent --no-fund --no-audit --prefix "$tools" axe-core@4 >/dev/null
export AXE=$tools/node_modules/axe-core/axe.min.js
docs=
if [ "${1:-}" = --docs ]; then
  docs=1
  shift
fi
# Of the whole workspace, so that what its tests have built is taken as it is.
if [ "${1:-}" = --measure ]; then
  ROUNDS=9 cargo test --locked --quiet --workspace --test pages -- --nocapture the_room_is_light | scripts/measured.py pages "scripts/pages.sh --measure"
  exit
fi
cargo test --locked --quiet --workspace --test pages -- --test-threads=2 "$@"
if [ -n "$docs" ]; then
  mkdir -p docs/pages
  for state in room-soon room-open room-pay room-offer desk-rehearsal desk-form; do
    cp "${CARGO_TARGET_DIR:-target}/tmp/pages/$state.png" docs/pages/
  done
fi
