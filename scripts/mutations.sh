#!/usr/bin/env bash
# Plants one bug after the other and sees the fault suite fail. A bug that it does not notice is a
# hole in the suite: exits 1 and names it.
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/faults.sh --build-armed
bin=target/faults/faults
# The bug, and the scenario of the suite that has to notice.
bugs=(
  no-fence:rival no-deduplication:cut-replies no-limit:impostor no-stock:impostor
  no-outbox:oom no-holdings:oom no-sequence:history put-back-from-nothing:impostor
  top-up-twice:impostor release-on-time-out:cut-replies confirm-on-time-out:cut-requests
  release-on-refusal:oom confirm-on-refusal:oom ack-before-commit:oom
  sell-on-when-fenced:rival forget-holdings:kills forget-keys:kills forget-sold:kills
  numbers-from-one:kills never-look:rival-idle
)
if ! "$bin/faults" --armed "$bin/flashlane" --binary "$bin/flashlane" --only kills >/dev/null 2>&1; then
  echo "mutations: the suite fails without a bug; see scripts/faults.sh" >&2
  exit 1
fi
missed=()
for pair in "${bugs[@]}"; do
  bug=${pair%%:*} scenario=${pair##*:} status=0
  said=$(FLASHLANE_BUG=$bug FLASHLANE_PATIENCE_S=8 "$bin/faults" --armed "$bin/flashlane" \
    --binary "$bin/flashlane" --only "$scenario" 2>/dev/null) || status=$?
  if [ "$status" = 3 ]; then
    echo "$bug: noticed: $(grep -m1 BROKEN <<<"$said" | cut -c8-140)"
  else
    echo "$bug: NOT NOTICED by $scenario (exit $status)"
    missed+=("$bug")
  fi
done
echo "${#bugs[@]} bugs planted, ${#missed[@]} not noticed"
[ "${#missed[@]}" = 0 ]
