# Sourced by scripts that need a server: start_server OPTIONS... serves on free ports out of
# $data/store, and sets public, operator and, if it is on, platform to the server's addresses, and server
# to its process id.
# The server ends with the script.
bin=${CARGO_TARGET_DIR:-target}/release
data=$(mktemp -d)
server=
cleanup() {
  if [ -n "$server" ] && kill -0 "$server" 2>/dev/null; then
    kill -TERM "$server"
    wait "$server" || true
  fi
  rm -rf "$data"
}
trap cleanup EXIT

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
