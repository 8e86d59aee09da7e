#!/usr/bin/env bash
# Runs two member drops over three nodes and two fronts that share a redis-server. In the middle of the first one the
# node that sells is killed, in the middle of the second one it is told to end. Clicks go to both fronts. Shows which
# node sold before and after and how long clicks waited, and audits both sales: exits 0 only if nothing was lost and
# nothing sold twice. With `--table` docs/measured.md gets the figures. Other arguments go on to `load`.
set -euo pipefail
cd "$(dirname "$0")/.."
with_table=
if [ "${1:-}" = --table ]; then
  with_table=yes
  shift
fi
. scripts/server.sh
start_redis
head -c 24 /dev/urandom | base64 >"$data/node.key"
declare -A pid_of
end_nodes() {
  for name in "${!pid_of[@]}"; do kill -TERM "${pid_of[$name]}" 2>/dev/null || true; done
  for name in "${!pid_of[@]}"; do wait "${pid_of[$name]}" 2>/dev/null || true; done
  pid_of=()
}
trap 'end_nodes; cleanup' EXIT

# node NAME OPTIONS...: starts a node with the same keys; sets public and operator to its addresses.
node() {
  local name=$1
  shift
  mkdir -p "$data/$name"
  for key in token operator payment; do
    [ ! -e "$data/a/$key.key" ] || [ "$name" = a ] || cp "$data/a/$key.key" "$data/$name"
  done
  # What a process before it has said is not this one's.
  : >"$data/$name/says"
  FLASHLANE_LOG=warn "$bin/flashlane" serve --redis "$redis" --node-key "$data/node.key" --listen 127.0.0.1:0 \
    --operator-listen 127.0.0.1:0 --member-rate 0 --data "$data/$name" "$@" >"$data/$name/says" 2>"$data/$name/log" &
  pid_of[$name]=$!
  until grep -q '^operator ' "$data/$name/says"; do
    kill -0 "${pid_of[$name]}" || { cat "$data/$name/log" >&2; exit 1; }
    sleep 0.02
  done
  public=$(sed -n 's,^public http://,,p' "$data/$name/says")
  operator=$(sed -n 's,^operator http://,,p' "$data/$name/says")
  until curl --silent --max-time 30 "http://$public/readyz" | grep -qv "^starting: "; do
    kill -0 "${pid_of[$name]}" || { cat "$data/$name/log" >&2; exit 1; }
  done
}

for name in a b c; do node "$name" --node-id "$name" --node-listen 127.0.0.1:0; done
node front-1 --owns none
first=$public
node front-2 --owns none
second=$public at=$operator

# seller SALE: prints the node that sells it.
seller() {
  curl --silent --max-time 5 --output /dev/null --dump-header - "http://$first/v1/sales/$1" | tr -d '\r' |
    sed -n 's/^flashlane-node: //p'
}

# a_drop SALE SIGNAL WHAT OPTIONS...: a drop in whose middle its owner gets this signal.
code=0
table="| the owner | clicks accepted | ms, p50 | p99.9 | most | confirmed orders lost |
| --- | --- | --- | --- | --- | --- |"
a_drop() {
  local sale=$1 signal=$2 what=$3 before after sent result=0
  shift 3
  "$bin/load" --target "$first,$second" --operator "$at" --data "$data/a" --sale "$sale" --make 100000 --limits 1,1,2,2,3 \
    --stagger-ms 200 --members 40000 --rate 3000 --seconds 8 --json "$data/$sale.json" "$@" >"$data/$sale.txt" &
  local load=$!
  sleep 4
  before=$(seller "$sale")
  echo "node $before sells; it $what"
  kill "-$signal" "${pid_of[$before]}"
  sent=$(date +%s%3N)
  { wait "${pid_of[$before]}" || true; } 2>/dev/null
  until after=$(seller "$sale"); [ -n "$after" ] && [ "$after" != "$before" ]; do sleep 0.02; done
  echo "node $after sells, $(($(date +%s%3N) - sent)) ms later"
  wait "$load" || result=$?
  cat "$data/$sale.txt"
  code=$((code + result))
  table+=$(printf '\n| %s | %s |' "$what" "$(jq -r '
    [.accepted, (.latency.accepted.us | (.p50, ."p99.9", .max) / 1000 | round), ([.audit.checks[].broken] | add)]
    | map(tostring) | join(" | ")' "$data/$sale.json")")
  # It comes back, and takes nothing from the others.
  node "$before" --node-id "$before" --node-listen 127.0.0.1:0
}
a_drop killed KILL "is killed" --killed "$@"
a_drop ended TERM "is told to end" "$@"
end_nodes
"$bin/flashlane" verify --redis "$redis"
if [ -n "$with_table" ]; then scripts/measured.py nodes "scripts/cluster.sh --table" <<<"$table"; fi
exit "$code"
