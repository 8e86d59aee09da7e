#!/usr/bin/env bash
# scripts/tried.sh NAME FILE... -- COMMAND: runs a command whose outcome depends on these files and folders alone, and
# notes in scripts/tried.txt what they were when it was well. While they are the same it is not run again.
set -euo pipefail
cd "$(dirname "$0")/.."

name=$1
shift
files=()
while [ "$1" != -- ]; do files+=("$1"); shift; done
shift
tried=scripts/tried.txt
digest=$({ rustc --version; git ls-files -z -- "${files[@]}" | xargs -0 sha256sum; } | sha256sum | cut -d' ' -f1)
if grep -qx "$name $digest" "$tried"; then
  echo "nothing that it depends on has changed since this was tried: ${files[*]}"
  exit
fi
"$@"
sed -i "/^$name /d" "$tried"
echo "$name $digest" >>"$tried"
