#!/usr/bin/env bash
# Runs Schemathesis against each listener of a server. It reads /openapi.json and sends what fits the
# document and what does not. No answer may be a 5xx, or have a status that the document does not name.
set -euo pipefail
cd "$(dirname "$0")/.."

command -v python3 >/dev/null || { echo "schemathesis: python3 is missing; on Debian: apt-get install python3-venv" >&2; exit 1; }
target=${CARGO_TARGET_DIR:-target}
venv=$target/schemathesis
if [ ! -x "$venv/bin/schemathesis" ]; then
  python3 -m venv "$venv"
  "$venv/bin/pip" install --quiet --disable-pip-version-check 'schemathesis==4.32.5'
fi
. scripts/server.sh

sale drop 50 >"$data/sales.toml"
FLASHLANE_LOG=off start_server --sales "$data/sales.toml" --member-rate 0 --platform-listen 127.0.0.1:0
token=$(token viewer-1)
# The member whose token it is has an account.
curl --silent --fail --max-time 30 --output /dev/null -H "authorization: Bearer $(cat "$data/store/platform.key")" \
  -d '{"member":"viewer-1"}' "http://$platform/v1/members"

# The outbox is read without waiting.
cat >"$data/any.toml" <<'TOML'
[parameters]
wait = 0
TOML

# A sale and an order that exist, to get beyond "no such sale". A call on the way buys the order.
cat >"$data/there.toml" <<'TOML'
[parameters]
sale = "drop"
order = "drop.1.1"
member = "viewer-1"
wait = 0
TOML

# run LISTENER BEARER CONFIG: event streams are left out, because they do not end by themselves, and backups, which
# would be made wherever a path happens to lead. Other tests cover both.
run() {
  "$venv/bin/schemathesis" --config-file "$data/$3.toml" run "http://${!1}/openapi.json" \
    --header "Authorization: Bearer $2" --exclude-path-regex '/(events|backup)$' \
    --checks not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance \
    --phases examples,coverage,fuzzing --max-examples "$examples" --seed 1 --request-timeout 20 --no-color
}
examples=${1:-50}
for listener in public operator platform; do
  case $listener in
    public) bearer=$token ;;
    *) bearer=$(cat "$data/store/$listener.key") ;;
  esac
  for config in any there; do
    echo "the $listener listener, $config sale:"
    run "$listener" "$bearer" "$config"
  done
done
