#!/usr/bin/env bash
# Checks the OpenAPI document of each listener: a validator and a linter have nothing to say, and
# clients that are generated from it in TypeScript and Python buy, wait, cancel and list. A client in
# Java is generated without a complaint.
set -euo pipefail
cd "$(dirname "$0")/.."

for tool in node npm java python3 jq; do
  command -v "$tool" >/dev/null || { echo "contracts: $tool is missing; on Debian: apt-get install nodejs npm default-jre-headless python3-venv jq" >&2; exit 1; }
done
target=$(realpath "${CARGO_TARGET_DIR:-target}")
venv=$target/contracts-python node=$target/contracts-node
if [ ! -x "$venv/bin/openapi-python-client" ]; then
  python3 -m venv "$venv"
  "$venv/bin/pip" install --quiet --disable-pip-version-check \
    'openapi-spec-validator==0.9.0' 'openapi-python-client==0.29.1' 'openapi-generator-cli==7.26.0' 'ruff==0.14.6'
fi
if [ ! -x "$node/node_modules/.bin/tsc" ]; then
  mkdir -p "$node"
  npm install --prefix "$node" --silent --no-package-lock --no-audit --no-fund \
    @stoplight/spectral-cli@6.16.3 openapi-typescript@7.13.0 openapi-fetch@0.17.0 typescript@5.9.3 @types/node@20
fi
. scripts/server.sh

{ sale drop 50; sale gone 1; } >"$data/sales.toml"
FLASHLANE_LOG=off start_server --sales "$data/sales.toml" --member-rate 0 --platform-listen 127.0.0.1:0
# The one unit of the second sale is somebody else's.
curl --silent --fail --max-time 30 --output /dev/null -H "authorization: Bearer $(token early)" \
  -d '{"units":1}' "http://$public/v1/sales/gone/orders"

work=$data/contracts
mkdir "$work"
echo 'extends: ["spectral:oas"]' >"$work/rules.yaml"
for listener in public operator platform; do
  document=$work/$listener.json
  curl --silent --fail --max-time 30 --output "$document" "http://${!listener}/openapi.json"
  "$venv/bin/openapi-spec-validator" "$document"
  "$node/node_modules/.bin/spectral" lint --ruleset "$work/rules.yaml" --fail-severity warn "$document"
done

cp clients/tests/buy.ts "$work/"
ln -s "$node/node_modules" "$work/node_modules"
echo '{"type":"module"}' >"$work/package.json"
for listener in public operator platform; do
  "$work/node_modules/.bin/openapi-typescript" "$work/$listener.json" -o "$work/$listener.ts" >/dev/null
done
(cd "$work" && node_modules/.bin/tsc --strict --target es2022 --module nodenext --skipLibCheck --types node buy.ts operator.ts platform.ts)
node "$work/buy.js" "http://$public" "$(token ann)"

# The documented reader of the outbox, twice: what was told is not told again.
sed -n '/^# One pass: each change/,/^```$/p' docs/operating.md | sed '$d' >"$work/reader.sh"
for pass in 1 2; do
  PLATFORM=http://$platform PLATFORM_KEY=$(cat "$data/store/platform.key") CURSOR_FILE=$work/cursor WAIT=0 \
    PRODUCER=cat bash -euo pipefail "$work/reader.sh" >"$work/changes.$pass"
done
grep -q '"status":"confirmed"' "$work/changes.1" && [ ! -s "$work/changes.2" ] || { echo "contracts: the documented reader of the outbox does not work" >&2; exit 1; }
echo "outbox: the documented reader read $(wc -l <"$work/changes.1") changes, each once"

for listener in public operator platform; do
  (cd "$work" && PATH=$venv/bin:$PATH openapi-python-client generate --path "$listener.json" --meta none \
    --output-path "python-$listener" --fail-on-warning >/dev/null)
done
mv "$work/python-public" "$work/flashlane_client"
PYTHONPATH=$work "$venv/bin/python" clients/tests/buy.py "http://$public" "$(token bob)"

for listener in public operator platform; do
  said=$("$venv/bin/openapi-generator-cli" generate -g java -i "$work/$listener.json" -o "$work/java-$listener" 2>&1)
  # That it takes OpenAPI 3.1 at all, it says of every document of that version.
  if grep -E '\b(WARN|ERROR)\b' <<<"$said" | grep -v 'OpenAPI 3.1 support is still in beta'; then
    echo "contracts: the generator for Java complains of the document of the $listener listener" >&2
    exit 1
  fi
done
echo "Java: generated"
