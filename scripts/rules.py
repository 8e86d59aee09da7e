#!/usr/bin/env python3
"""Plants bugs in the members' rules, one after the other, and sees their tests fail. With --at-the-sale,
in what members are at the sale, which takes some minutes more.

A bug that no test notices is a hole in the tests: this script names it and exits 1.
"""

import os
import pathlib
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
PATIENCE_S = 600

# The bug, its file in membership/src, and pairs: a text that stands there once, and what the bug makes of it.
BUGS = [
    ("an order posted twice", "account/orders.rs",
     ("if taking.is_posted(Account::Growth, Kind::Order, &order.id) {", "if false {")),
    ("an act counted twice", "account/acts.rs",
     ("if taking.is_posted(Account::Growth, kind, id) {", "if false {")),
    ("a refund counted twice", "account/orders.rs",
     ("if taking.is_posted(Account::Growth, Kind::Refund, &source) {", "if false {")),
    ("a correction counted twice", "account/membership.rs",
     ("if taking.is_posted(account, Kind::Adjustment, id) {", "if false {")),
    ("a clawback forgotten", "account/orders.rs", ("self.points.claw_back(taken, at);", "")),
    ("a refund out of proportion", "event/mod.rs",
     ("kept(self.before) - kept(self.before.saturating_add(self.amount))", "earned")),
    ("pending points that never end", "account/orders.rs",
     ("self.pending = self.pending.saturating_sub(points);", "")),
    ("a hold lost", "account/holds.rs",
     ("self.holds.push(Hold { order: order.clone(), lots, until });", "let _ = (lots, until);")),
    ("a hold that outlives its time", "account/sweep.rs",
     ("partition(|hold| hold.until <= at)", "partition(|hold| hold.until.0 == 0)")),
    ("points held twice for one order", "account/holds.rs",
     ("kinds.into_iter().any(|kind| taking.is_posted(Account::Held, kind, order))", "kinds.is_empty()")),
    ("points given back twice", "account/holds.rs",
     ("|| posted(Kind::GivenBack, &source)", "")),
    ("points of a hold that is over, spent for nothing", "account/holds.rs",
     ("self.points.claw_back(with.points, taking.context.at);", "")),
    ("a coupon used for two orders", "account/parts.rs",
     ("self.state == CouponState::Free && self.until > at", "self.until > at")),
    ("a coupon used when it is over", "account/parts.rs",
     ("self.state == CouponState::Free && self.until > at", "self.state == CouponState::Free")),
    ("a coupon that does not come back", "account/holds.rs",
     ("coupon.state = CouponState::Free;", "coupon.until = coupon.until;")),
    ("a member day that begins on a Tuesday", "time.rs",
     ("self.day().weekday() == Weekday::Wednesday",
      "Self(self.0 + 1).day().weekday() == Weekday::Wednesday")),
    ("expired points spent", "lots.rs",
     ("let counts = |lot: &&Lot| lot.expires_at > now;", "let counts = |lot: &&Lot| lot.amount > 0;")),
    ("a deficit forgotten", "lots.rs",
     ("self.deficit = self.deficit.saturating_add(amount - there);", "")),
    ("a lot taken by its creation", "lots.rs",
     ("Err(at) => self.lots.insert(at, Lot { amount, ..lot }),",
      "Err(_) => self.lots.push(Lot { amount, ..lot }),")),
    ("a fake referral paid", "account/referrals.rs",
     ("Stage::Registered | Stage::NotCounted => return", "Stage::NotCounted => return"),
     ("Stage::Registration => (Kind", "Stage::Registered | Stage::Registration => (Kind")),
    ("a stage paid twice", "account/referrals.rs",
     ("if !is_counted || taking.is_posted(Account::Points, kind, &source) {", "if !is_counted {")),
    ("a member who refers themselves", "account/referrals.rs",
     ("if self.referral.is_some() || referrer == own {", "if self.referral.is_some() {")),
    ("one more referee than a month has", "account/parts.rs",
     ("let counts = before < most;", "let counts = before <= most;")),
    ("a tier that falls two steps", "account/standing.rs",
     ("let tier = earned.max(below);", "let tier = earned.max(Tier::Regular.min(below));")),
    ("a tier kept for half its year", "account/standing.rs",
     ("Some(at.end_of_day_later(plan.growth.months));", "Some(at.end_of_day_later(plan.growth.months / 2));")),
    ("two gifts by two calendars", "birthday.rs",
     ("(has_switched && before.year() == today.year())", "(has_switched && before.year() > today.year())")),
    ("two gifts in a lunar year", "birthday.rs",
     ("is_same_lunar_year || is_same_month", "is_same_month")),
    ("one more share than a day has", "account/acts.rs",
     ("if today.shares >= plan.acts.shares_a_day {", "if today.shares > plan.acts.shares_a_day {")),
    ("a reward without its points", "account/shop.rs",
     ("self.debit(plan.points.into(), taking)?;", "")),
    ("a reward above the tier", "account/shop.rs",
     ("let plan = found.ok_or(Refused::Unknown(\"reward\"))?;\n        if self.standing.tier < plan.from {",
      "let plan = found.ok_or(Refused::Unknown(\"reward\"))?;\n        if false {")),
    ("a coupon issued twice", "account/shop.rs",
     ("if self.coupons.iter().any(|coupon| coupon.id == *id) {", "if false {")),
    ("a benefit used twice", "account/benefits.rs",
     ("if taking.is_posted(Account::Growth, Kind::Benefit, id) {", "if false {")),
    ("a benefit kept without its tier", "account/benefits.rs",
     ("is_some_and(|from| *from <= tier)", "is_some()")),
    ("a line left out of the opening balance", "account/opening.rs",
     ("sums[posting.account as usize] += posting.amount;", "sums[posting.account as usize] += posting.amount / 2;")),
    ("a line folded whose lot counts", "account/opening.rs",
     ("&& is_over(posting)", "&& (is_over(posting) || posting.number > 0)")),
    ("a referee counted once their line is gone", "account/parts.rs",
     ("!matches!(kind, Kind::ReferralNotCounted)", "!matches!(kind, Kind::Opening)")),
    ("another plan tried with this one's rates", "replay.rs",
     ("Context { at, plan: self.plan,", "Context { at, plan: &Plan::default(),")),
]

# With --at-the-sale: the bug, its file, and the tests that are to notice it.
AT_THE_SALE = [
    ("the price of another tier", "engine/src/rules/price.rs", ("engine", "--lib", "price"),
     ("self.members.discounts[tier]", "self.members.discounts[Tier::Diamond]")),
    ("a member day on a Tuesday at 23:59:59.999 in Shanghai", "engine/src/rules/price.rs",
     ("engine", "--lib", "price"),
     ("at.is_member_day()", "Millis(at.0 + 1).is_member_day()")),
    ("points taken of one purse by two clicks", "engine/src/sale/purse.rs", ("engine", "--lib", "purse"),
     ("KNOWN | balance << BALANCE_AT | less(points.taken(), settled)",
      "KNOWN | balance << BALANCE_AT | less(0, 0 * settled * points.0)")),
    ("one coupon taken by two clicks", "engine/src/sale/purse.rs", ("engine", "--lib", "purse"),
     ("if !taken {", "if !taken && seat.index() == usize::MAX {")),
    ("points that the book does not have, spent", "engine/src/confirm/holds.rs",
     ("engine", "--test", "it", "--", "spending::"),
     ("refused: Some(*why)", "refused: Some(*why).filter(|_| false)")),
    ("the tier of the token for a member who is enrolled", "gateway/src/ask/tiers.rs",
     ("gateway", "--test", "it", "--", "tiers::"),
     ("TiersFrom::Either => engine.book().tier(seat).unwrap_or(said)",
      "TiersFrom::Either => engine.book().tier(seat).map_or(said, |_| said)")),
    ("a sale shown to those for whom it is not there", "gateway/src/ask/audience.rs",
     ("gateway", "--test", "it", "--", "spending::"),
     ("audience.is_everyone() || session.is_some_and(has)",
      "audience.is_everyone() || session.is_none_or(|session| has(session) || true)")),
]
RULES = ("membership", "--lib", "--test", "it")


def tests(copy, of=RULES):
    """Runs tests of a package in the copy; returns whether they pass, and what they say."""
    environment = os.environ | {"CARGO_TARGET_DIR": str(ROOT / ("target/rules" if of == RULES else "target")), "CARGO_INCREMENTAL": "1"}
    command = ["cargo", "test", "--quiet", "--locked", "--no-fail-fast", "-p", *of]
    try:
        ran = subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True,
                             timeout=PATIENCE_S, check=False)
    except subprocess.TimeoutExpired:
        return False, f"    the::tests did not end in {PATIENCE_S} s"
    return ran.returncode == 0, ran.stdout + ran.stderr


def main():
    files = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    with tempfile.TemporaryDirectory() as folder:
        copy = pathlib.Path(folder)
        for name in filter(None, files.decode().split("\0")):
            if (ROOT / name).is_file():
                (copy / name).parent.mkdir(parents=True, exist_ok=True)
                (copy / name).write_bytes((ROOT / name).read_bytes())
        bugs = [(bug, f"membership/src/{name}", RULES, *edits) for bug, name, *edits in BUGS]
        if "--at-the-sale" in sys.argv[1:]:
            bugs = AT_THE_SALE
        for of in dict.fromkeys(of for _, _, of, *_ in bugs):
            passed, said = tests(copy, of)
            if not passed:
                sys.exit(f"rules: the tests fail without a bug\n{said[-2000:]}")
        missed = []
        for bug, name, of, *edits in bugs:
            path = copy / name
            kept = text = path.read_text()
            for was, becomes in edits:
                if text.count(was) != 1:
                    sys.exit(f"rules: {bug}: {name} has {text.count(was)} places with: {was}")
                text = text.replace(was, becomes)
            path.write_text(text)
            passed, said = tests(copy, of)
            path.write_text(kept)
            noticed = re.findall(r"^    (\w+::[\w:]+)", said, re.MULTILINE)
            if "could not compile" in said:
                sys.exit(f"rules: {bug} does not compile\n{said[-2000:]}")
            if passed or not noticed:
                missed.append(bug)
                print(f"{bug}: NOT NOTICED", flush=True)
            else:
                print(f"{bug}: noticed by {noticed[0]}", flush=True)
        print(f"{len(bugs)} bugs planted, {len(missed)} not noticed")
        sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
