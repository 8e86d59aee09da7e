#!/usr/bin/env bash
# Weakens the engine's atomic orderings one by one and runs the loom models each time. Prints a table:
# the ordering, what it was weakened to, and the models that noticed. Exits 1 if one went unnoticed.
# It takes some minutes.
set -euo pipefail
cd "$(dirname "$0")/.."

export RUSTFLAGS="--cfg flash_loom -C debug-assertions"
export CARGO_TARGET_DIR=$PWD/target/loom
export CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16
copy=$(mktemp -d)
# The folder of builds is that of loom.sh, which must not take the last weakened build for its own.
trap 'rm -rf "$copy" "$CARGO_TARGET_DIR"/release/.fingerprint/{engine,loom-tests}-*' EXIT
git ls-files -z | xargs -0 cp --parents -t "$copy"

# Prints the failing models of the copy, one a line, without the twins.
failing() {
  (cd "$copy" && timeout 300 cargo test --locked --release --no-fail-fast -p loom-tests 2>&1 || true) |
    sed -nE 's/^test [a-z]+::([a-z_0-9]+)( - should panic)? \.\.\. FAILED$/\1/p' | grep -v '^twin_' || true
}

# FILE:LINE:ORDERING for every ordering that is not relaxed already, outside comments.
sites=$(cd "$copy" && grep -nE '^[^/]*Ordering::(Acquire|Release|AcqRel)' engine/src/sale.rs engine/src/sale/*.rs |
  sed -E 's/^([^:]+):([0-9]+):[^/]*Ordering::(Acquire|Release|AcqRel).*/\1:\2:\3/')
# Each of them must be on a line of its own, or one of two would be left out.
strong=$(cd "$copy" && sed -E 's|//.*||' engine/src/sale.rs engine/src/sale/*.rs |
  grep -oE 'Ordering::(Acquire|Release|AcqRel)' | wc -l)
if [ "$strong" != "$(wc -w <<<"$sites")" ]; then
  echo "orderings: $strong orderings, and only $(wc -w <<<"$sites") are on a line of their own" >&2
  exit 1
fi
if ! (cd "$copy" && cargo test --locked --quiet --release -p loom-tests) >/dev/null 2>&1; then
  echo "orderings: the models fail before anything is weakened; see scripts/loom.sh" >&2
  exit 1
fi
echo "| ordering | weakened to | noticed by |"
echo "| --- | --- | --- |"
tried=0 missed=0
for site in $sites; do
  IFS=: read -r file line was <<<"$site"
  case $was in
    AcqRel) weaker="Acquire Release" ;;
    *) weaker=Relaxed ;;
  esac
  for is in $weaker; do
    cp "$copy/$file" "$copy/$file.kept"
    sed -i "${line}s/Ordering::$was/Ordering::$is/" "$copy/$file"
    models=$(failing)
    mv "$copy/$file.kept" "$copy/$file"
    touch "$copy/$file"
    tried=$((tried + 1))
    if [ -z "$models" ]; then
      missed=$((missed + 1))
      models="NO MODEL"
    fi
    code=$(sed -n "${line}p" "$copy/$file" | sed -E 's/^ +//; s/ *\/\/.*//; s/[|]/\\|/g')
    echo "| \`${file#engine/src/}\` \`$code\` | $is | $(head -n 2 <<<"$models" | paste -sd, | sed 's/,/, /') |"
  done
done
echo
echo "$tried weakened, $missed not noticed"
[ "$missed" = 0 ]
