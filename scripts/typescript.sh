#!/usr/bin/env bash
# Builds the TypeScript package from the server's own document and tests it against a real server.
set -euo pipefail
cd "$(dirname "$0")/.."

for tool in node npm; do
  command -v "$tool" >/dev/null || { echo "typescript: $tool is missing; on Debian: apt-get install nodejs npm" >&2; exit 1; }
done
target=$(realpath "${CARGO_TARGET_DIR:-target}")
node=$target/typescript
if [ ! -x "$node/node_modules/.bin/tsc" ]; then
  mkdir -p "$node"
  npm install --prefix "$node" --silent --no-package-lock --no-audit --no-fund \
    openapi-typescript@7.13.0 typescript@5.9.3 @types/node@20
fi
. scripts/server.sh

{ sale drop 50; sale gone 1; } >"$data/sales.toml"
FLASHLANE_LOG=off start_server --sales "$data/sales.toml" --member-rate 0
curl --silent --fail --max-time 30 --output /dev/null -H "authorization: Bearer $(token early)" \
  -d '{"units":1}' "http://$public/v1/sales/gone/orders"

package=$node/package
rm -rf "$package"
cp -r clients/typescript "$package"
ln -s "$node/node_modules" "$package/node_modules"
curl --silent --fail --max-time 30 --output "$data/public.json" "http://$public/openapi.json"
"$node/node_modules/.bin/openapi-typescript" "$data/public.json" -o "$package/src/contract.ts" >/dev/null
(cd "$package" && node_modules/.bin/tsc)
FLASHLANE="http://$public" TOKENS="$(token ann) $(token bob)" timeout 120 node --test "$package/dist/test/"
