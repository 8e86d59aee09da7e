#!/usr/bin/env bash
# Opens a page of another origin in a real Chromium: from an origin that is allowed it buys and follows
# its order, from one that is not it is kept from calling.
set -euo pipefail
cd "$(dirname "$0")/.."

command -v chromium >/dev/null || { echo "browser: chromium is missing; on Debian: apt-get install chromium" >&2; exit 1; }
. scripts/server.sh

mkfifo "$data/shop"
python3 clients/tests/origin.py >"$data/shop" &
shop=$!
trap 'kill "$shop"; cleanup' EXIT
exec 4<"$data/shop"
read -r -t 30 port <&4

sale drop 50 >"$data/sales.toml"
# A page at localhost is of another origin than one at 127.0.0.1, though both are this machine.
FLASHLANE_LOG=off start_server --sales "$data/sales.toml" --allow-origins "http://127.0.0.1:$port"
token=$(token viewer-1)

# visit HOST WORDS: opens the page as of this host, and expects it to tell these words.
visit() {
  timeout 60 chromium --headless --no-sandbox --disable-gpu --user-data-dir="$data/$1" --remote-debugging-port=0 \
    "http://$1:$port/#base=http://$public&token=$token" >/dev/null 2>&1 &
  local browser=$! told=
  read -r -t 50 told <&4 || true
  kill "$browser" 2>/dev/null || true
  wait "$browser" || true
  [[ $told == *"$2"* ]] || { echo "browser: a page at $1 told: ${told:-nothing}" >&2; exit 1; }
  echo "a page at $1: $told"
}
visit 127.0.0.1 "bought and followed"
visit localhost "Failed to fetch"
