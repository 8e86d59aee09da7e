#!/usr/bin/env bash
# Plants one bug after the other and sees the fault suite fail. A bug that the suite does not notice
# is a hole in the suite: this script names it and exits 1.
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/faults.sh --build-armed
bin=$(realpath "${CARGO_TARGET_DIR:-target}")/armed
# The bug, the scenario that has to notice it, and a pattern of what the scenario has to say.
bugs=(
  "no-fence replaced does.not.notice|was.confirmed.and.is.gone|sold.on"
  "no-deduplication cut-replies given.out.by.epoch|Damaged"
  "no-limit impostor over.the.limit"
  "no-stock impostor more.than.there.is"
  "no-outbox oom has.no.entry"
  "no-holdings oom answers.with.OOM|shoppers.get.orders|units.held"
  "no-sequence history nothing.alarms"
  "put-back-from-nothing impostor from.nothing"
  "top-up-twice impostor topped.up.twice"
  "release-on-time-out cut-replies was.released|is.gone"
  "confirm-on-time-out cut-requests is.gone"
  "release-on-refusal oom is.gone|no.order"
  "confirm-on-refusal oom is.gone|no.order"
  "ack-before-commit oom is.gone|no.order"
  "sell-on-when-fenced replaced was.confirmed.and.is.gone|does.not.notice|still.wait"
  "forget-holdings kills was.released|shoppers.get.orders|no.new.order|is.not.ready"
  "forget-keys kills two.confirmed.orders|no.client.was.told"
  "forget-sold kills was.released|operator.is.told|is.not.ready|with.500|no.new.order"
  "numbers-from-one kills no.new.order|is.not.ready"
  "refund-nothing kills damaged|Damaged|shoppers.get.orders|told.to.be|no.new.order"
  "cancel-keeps-limit oom units.held|Damaged|limit"
  "no-step-entry oom entries.and.order|outbox.entr|Damaged|ends.with"
  "change-on-time-out cut-changes was.told.to.be"
  "book-counts-again kills counts.twice|come.to"
  "never-look rival-idle does.not.notice"
  "no-wait many-primaries is.gone|no.new.order|shoppers.of.both"
)
export FLASHLANE_PATIENCE_S=10
suite() {
  "$bin/faults" --armed "$bin/flashlane" --binary "$bin/flashlane" --only "$1" 2>/dev/null
}
# The suite runs without a bug first, as patient as with one.
scenarios=$(printf '%s\n' "${bugs[@]}" | cut -d' ' -f2 | sort -u | paste -sd,)
if ! said=$(suite "$scenarios"); then
  echo "mutations: the suite fails without a bug; see scripts/faults.sh" >&2
  echo "$said" >&2
  exit 1
fi
missed=()
for line in "${bugs[@]}"; do
  read -r bug scenario word <<<"$line"
  status=0
  said=$(FLASHLANE_BUG=$bug suite "$scenario") || status=$?
  if [ "$status" = 3 ] && grep -qE "BROKEN.*($word)" <<<"$said"; then
    echo "$bug: noticed: $(grep -m1 -E "BROKEN.*($word)" <<<"$said" | cut -c8-140)"
  else
    echo "$bug: NOT NOTICED by $scenario (exit $status): $(grep -m1 BROKEN <<<"$said")"
    missed+=("$bug")
  fi
done
# Bugs of the journal, and the tests that have to notice them: most need a disk that loses its power.
journal=(
  "no-sync power::whenever"
  "told-before-written power::whenever"
  "group-told-in-part failing_disk"
  "torn-for-whole power::whenever"
  "snapshot-without-its-last-block power::whenever"
  "memory-not-rebuilt failing_disk"
  "tail-not-written-again failing_disk::a_block"
)
tests() { (cd engine && "$bin/engine-tests" --quiet "$@"); }
tests power failing_disk >/dev/null 2>&1 || { echo "mutations: the tests fail without a bug" >&2; exit 1; }
for line in "${journal[@]}"; do
  read -r bug test <<<"$line"
  # With so many cuts, a bug that needs a rare one is found, too.
  if said=$(FLASHLANE_CUTS=3000 FLASHLANE_BUG=$bug tests "$test" 2>&1); then
    echo "$bug: NOT NOTICED by $test"
    missed+=("$bug")
  else
    echo "$bug: noticed: $(grep -m1 -A1 "panicked at" <<<"$said" | tail -1 | cut -c1-140)"
  fi
done
echo "$((${#bugs[@]} + ${#journal[@]})) bugs planted, ${#missed[@]} not noticed"
[ "${#missed[@]}" = 0 ]
