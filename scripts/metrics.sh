#!/usr/bin/env bash
# Checks what a server tells Prometheus, with Prometheus's own tool: the metrics follow its conventions,
# and each alert fires at what it is for and at nothing else.
set -euo pipefail
cd "$(dirname "$0")/.."

command -v promtool >/dev/null || { echo "metrics: promtool is missing; on Debian: apt-get install prometheus" >&2; exit 1; }
promtool check rules deploy/prometheus/flashlane.rules.yml
promtool test rules deploy/prometheus/flashlane.test.yml
. scripts/server.sh

{ sale drop 1; sale next 5; } >"$data/sales.toml"
FLASHLANE_LOG=off start_server --sales "$data/sales.toml"
ask() { curl --silent --max-time 30 --output /dev/null "$@"; }
for member in ann bob; do
  ask -H "authorization: Bearer $(token "$member")" -H "prefer: wait=5" -d '{"units":1}' "http://$public/v1/sales/drop/orders"
done
ask "http://$public/v1/no/such/path"
ask -X BREW "http://$public/v1/sales"
text=$data/metrics.txt
curl --silent --fail --max-time 30 -H "authorization: Bearer $(cat "$data/store/operator.key")" \
  --output "$text" "http://$operator/metrics"
said=$(promtool check metrics <"$text" 2>&1) || { echo "$said"; exit 1; }
[ -z "$said" ] || { echo "$said" >&2; exit 1; }
echo "metrics: $(grep -c '^# TYPE' "$text") kinds, nothing to complain of"
