#!/usr/bin/env bash
# Fetches the files of libraries that the pages embed, each by its name and pinned version, with its licence. With --check
# it fetches them elsewhere and says whether the embedded ones are the same.
set -euo pipefail
cd "$(dirname "$0")/.."
library=uplot version=1.6.32
folder=gateway/src/assets/lib
fetched=$(mktemp -d)
trap 'rm -rf "$fetched"' EXIT
command -v npm >/dev/null || { echo "assets: npm is missing; on Debian: apt-get install npm" >&2; exit 1; }
# npm compares what it gets with the registry's own digest.
(cd "$fetched" && npm pack --silent "$library@$version" >/dev/null && tar -xzf "$library-$version.tgz")

# file FROM TO: takes one over, or compares it.
file() {
  if [ "${check:-}" = 1 ]; then
    cmp "$fetched/package/$1" "$folder/$2" || { echo "assets: $folder/$2 is not $library $version; run scripts/assets.sh" >&2; exit 1; }
  else
    cp "$fetched/package/$1" "$folder/$2"
  fi
}
[ "${1:-}" != --check ] || check=1
mkdir -p "$folder"
file dist/uPlot.iife.min.js uplot.js
file dist/uPlot.min.css uplot.css
file LICENSE uplot.LICENSE.txt
