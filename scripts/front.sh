#!/usr/bin/env bash
# Runs the tests of the gateway behind a front: each server that a test asks is one, and the sales are another
# process's. Left out is what is about one process: its folder, its files, its log, its metrics, its end and its next
# start.
set -euo pipefail
cd "$(dirname "$0")/.."
export FLASHLANE_BEHIND_FRONT=1
of_one_process=(archive:: audit:: backup:: configuration:: crash:: erasing:: jwks:: keys:: leaving:: logging::
  fronts:: many_sales:: metrics:: nodes:: redis:: rehearsing:: serving:: verify::
  afterwards::another_amount afterwards::payment_keys changing::a_stream changing::before changing::once
  events::a_stream_that_is_not_read events::no_id_of events::what_was_there http2:: listing::orders_are_found
  operating::sales_are_listed outbox::an_order_system tokens::keys_in_a_folder)
skip=()
for test in "${of_one_process[@]}"; do skip+=(--skip "$test"); done
exec cargo test --quiet --locked --workspace --test it -- --test-threads=6 "${skip[@]}" \
  afterwards:: bad_input:: browsers:: buying:: changing:: events:: fairness:: listing:: membership:: \
  operating:: outbox:: platform:: secrets:: smuggling:: spending:: tiers:: tokens:: waiting::
