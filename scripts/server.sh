# Sourced by scripts that need a server: start_server OPTIONS... serves on free ports out of
# $data/store, and sets public, operator and, if it is on, platform to the server's addresses, and server
# to its process id.
# The server ends with the script. start_redis does the same with a redis-server that puts every write on disk,
# and sets redis to its URL.
. scripts/programs.sh
data=$(mktemp -d)
server=
redis_server=
cleanup() {
  if [ -n "$server" ] && kill -0 "$server" 2>/dev/null; then
    kill -TERM "$server"
    wait "$server" || true
  fi
  if [ -n "$redis_server" ] && kill -0 "$redis_server" 2>/dev/null; then
    kill -TERM "$redis_server"
    wait "$redis_server" || true
  fi
  rm -rf "$data"
}
trap cleanup EXIT

# sale ID UNITS: prints a sale that is open to all, as a file of sales has it.
sale() {
  local open="2020-01-01T00:00:00Z"
  cat <<TOML
[[sale]]
id = "$1"
title = "A lamp"
price_cents = 19900
currency = "CNY"
stock = $2
closes_at = "2999-01-01T00:00:00Z"
pay_within_s = 60
windows = { regular = "$open", silver = "$open", gold = "$open", platinum = "$open", diamond = "$open" }
limits = { regular = 10, silver = 10, gold = 10, platinum = 10, diamond = 10 }
TOML
}

# token MEMBER: prints a token of a gold member.
token() { "$bin/flashlane" token --member "$1" --tier gold --token-key "$data/store/token.key"; }

# Its port is below those that the kernel gives to outgoing connections. One that is taken is left to its owner.
start_redis() {
  mkdir "$data/redis"
  local port= tries=0
  until redis-cli -p "${port:-0}" info server 2>/dev/null | grep -qP "^process_id:$redis_server\r?$"; do
    if [ -z "$redis_server" ] || ! kill -0 "$redis_server" 2>/dev/null; then
      port=$((20000 + RANDOM % 12000))
      redis-server --bind 127.0.0.1 --port "$port" --dir "$data/redis" --appendonly yes --appendfsync always --save "" \
        >"$data/redis/log" &
      redis_server=$!
    fi
    [ "$((tries += 1))" -lt 1000 ] || { cat "$data/redis/log" >&2; exit 1; }
  done
  redis=redis://127.0.0.1:$port
}

start_server() {
  mkfifo "$data/says"
  "$bin/flashlane" serve --listen 127.0.0.1:0 --operator-listen 127.0.0.1:0 --data "$data/store" "$@" \
    >"$data/says" &
  server=$!
  exec 3<"$data/says"
  read -r -t 30 public <&3 || { echo "the server did not start" >&2; exit 1; }
  read -r -t 30 operator <&3
  public=${public#public http://}
  operator=${operator#operator http://}
  read -r -t 30 platform <&3
  platform=${platform#platform http://}
  until curl --silent --max-time 30 "http://$public/readyz" | grep -qv "^starting: "; do
    kill -0 "$server" || { echo "the server did not start" >&2; exit 1; }
  done
}
