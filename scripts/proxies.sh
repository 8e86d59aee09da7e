#!/usr/bin/env bash
# Puts nginx and HAProxy in front of a server, as deploy/ has them: clicks, streams and the client's address
# come through, and what could be read in two ways does not.
set -euo pipefail
cd "$(dirname "$0")/.."

for tool in nginx haproxy curl python3; do
  command -v "$tool" >/dev/null || { echo "proxies: $tool is missing; on Debian: apt-get install nginx-light haproxy curl python3" >&2; exit 1; }
done
. scripts/server.sh

proxy=
trap '[ -z "$proxy" ] || kill "$proxy" 2>/dev/null || true; cleanup' EXIT
sale drop 50 >"$data/sales.toml"
# Bounds what one address may ask, so that it shows whose address is counted.
FLASHLANE_LOG=off start_server --sales "$data/sales.toml" --trusted-proxies 127.0.0.1 --address-rate 40

# free_port: prints a port that nobody uses, below those that the kernel gives to outgoing connections.
free_port() {
  python3 - <<'PY'
import random, socket
while True:
    port = random.randrange(20000, 32000)
    try:
        socket.socket().bind(("127.0.0.1", port))
    except OSError:
        continue
    print(port)
    break
PY
}

# until_true SECONDS WHAT COMMAND...: waits for a condition.
until_true() {
  local end=$((SECONDS + $1)) what=$2
  shift 2
  until "$@"; do
    [ $SECONDS -lt $end ] || { echo "proxies: waited in vain: $what" >&2; exit 1; }
  done
}
is_up() { curl --silent --fail --max-time 5 --output /dev/null "http://$at/healthz"; }
is_told() { grep -q "$1" "$data/stream"; }

start_nginx() {
  local conf=$data/nginx.conf
  {
    echo "daemon off; pid $data/nginx.pid; error_log stderr crit;"
    echo "events { worker_connections 256; }"
    echo "http { access_log off; client_body_temp_path $data/body; proxy_temp_path $data/proxy;"
    echo "fastcgi_temp_path $data/f; uwsgi_temp_path $data/u; scgi_temp_path $data/s;"
    sed "s/127.0.0.1:8080/$public/; s/127.0.0.1:8443/$at/" deploy/nginx/flashlane.conf
    echo "}"
  } >"$conf"
  nginx -c "$conf" -p "$data" &
  proxy=$!
}
start_haproxy() {
  sed "s/127.0.0.1:8080/$public/; s/127.0.0.1:8443/$at/" deploy/haproxy/flashlane.cfg >"$data/haproxy.cfg"
  haproxy -db -q -f "$data/haproxy.cfg" &
  proxy=$!
}

for name in nginx haproxy; do
  at=127.0.0.1:$(free_port)
  "start_$name"
  until_true 20 "$name answers" is_up
  member=viewer-$name
  bearer="authorization: Bearer $(token "$member")"

  # A stream is open before the click, and tells of the order as soon as there is one.
  curl --silent --no-buffer --max-time 60 -H "$bearer" "http://$at/v1/sales/drop/events" >"$data/stream" &
  stream=$!
  until_true 20 "the stream begins behind $name" is_told "event: sale"
  order=$(curl --silent --fail --max-time 30 -H "$bearer" -H "prefer: wait=10" -H "idempotency-key: k" \
    -H "x-request-id: $name-1" -D "$data/head" -d '{"units":1}' "http://$at/v1/sales/drop/orders")
  grep -qi "^x-request-id: $name-1" "$data/head" || { echo "proxies: $name loses the request's id" >&2; exit 1; }
  [[ $order == *'"status":"confirmed"'* ]] || { echo "proxies: behind $name: $order" >&2; exit 1; }
  until_true 20 "the order is told behind $name" is_told "event: order"
  again=$(curl --silent --fail --max-time 30 -H "$bearer" -H "idempotency-key: k" -d '{"units":1}' "http://$at/v1/sales/drop/orders")
  [ "${order%%,*}" = "${again%%,*}" ] || { echo "proxies: behind $name a repeated click is another order: $again" >&2; exit 1; }
  kill "$stream"
  wait "$stream" || true

  # Requests that hide another one: whatever is answered, the hidden one is not.
  python3 clients/tests/hidden.py "$at"

  # Whose address is counted: one address over its rate is refused, while the proxy itself is not.
  # On one connection, so that a slow machine sends more than the rate as well.
  refused=$(python3 - "$at" <<'PYTHON'
import http.client, sys
connection = http.client.HTTPConnection(sys.argv[1], timeout=30)
statuses = []
while 429 not in statuses and len(statuses) < 3000:
    connection.request("GET", "/v1/sales", headers={"x-forwarded-for": f"9.9.9.{len(statuses) % 250}"})
    answer = connection.getresponse()
    answer.read()
    statuses.append(answer.status)
print(statuses.count(429))
PYTHON
  )
  [ "$refused" -gt 0 ] || { echo "proxies: behind $name a client's own header counts as its address" >&2; exit 1; }
  kill "$proxy"
  wait "$proxy" || true
  proxy=
  echo "$name: clicks, streams, ids and addresses come through; what is hidden does not"
done
