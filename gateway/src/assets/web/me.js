// The member's centre: tier, growth and points, what they are good for, and what came and went.

import { refusal } from "./face.js";
import { put } from "./orders.js";
import { Refused, call, forgetToken, hasToken, insist, newKey, now, start, whose } from "./server.js";
import { say, speak, switchLanguage, time } from "./words.js";

const TIERS = ["regular", "silver", "gold", "platinum", "diamond"];
const at = (name) => document.getElementById(name);
const number = (n) => n.toLocaleString(document.documentElement.lang);

function row(...parts) {
  const item = document.createElement("li");
  item.append(...parts.map((part) => {
    if (typeof part !== "string") return part;
    const text = document.createElement("span");
    text.textContent = part;
    return text;
  }));
  return item;
}

const kind = (of) => (say("k_" + of) === "k_" + of ? say("k_other") : say("k_" + of));

const rows = (list, items) => list.replaceChildren(...(items.length ? items : [row(say("m_none"))]));

function button(words, act) {
  const made = document.createElement("button");
  made.className = "small";
  made.type = "button";
  made.textContent = words;
  made.onclick = () => attempt(act);
  return made;
}

/** What is being done: nothing else is begun until it has its answer. */
let isBusy = false;

async function attempt(act) {
  if (isBusy) return;
  isBusy = true;
  try {
    await act();
    put(at("said"), say("m_done"));
  } catch (error) {
    if (error.status === 401) forgetToken();
    const [key, values] = error instanceof Refused ? refusal(error) : ["r_lost", {}];
    put(at("said"), say(key, values) === key ? say("r_other") : say(key, values));
  } finally {
    isBusy = false;
  }
  load().catch(() => {});
}

// By reward: the key of a redemption that has no answer yet. Points are not spent twice by a second press.
const keys = new Map();

async function redeem(reward) {
  const key = keys.get(reward.id) ?? newKey();
  keys.set(reward.id, key);
  try {
    await insist("POST", "/v1/me/redemptions", { reward: reward.id }, key, () => put(at("said"), say("again")));
    keys.delete(reward.id);
  } catch (error) {
    if (error instanceof Refused) keys.delete(reward.id);
    throw error;
  }
}

function show(me) {
  put(at("tier"), say(me.tier));
  put(at("kept"), me.tier_kept_until ? say("m_until", { time: time(me.tier_kept_until, now()) }) : "");
  const missing = me.growth_to_next;
  const next = TIERS[TIERS.indexOf(me.tier) + 1];
  put(at("next"), missing === undefined ? say("m_top") : say("m_next", { n: number(missing), tier: say(next) }));
  const whole = Math.max(0, me.growth) + (missing ?? 0) || 1;
  at("fill").style.transform = `scaleX(${missing === undefined ? 1 : Math.max(0, me.growth) / whole})`;
  at("bar").setAttribute("aria-valuemax", whole);
  at("bar").setAttribute("aria-valuenow", Math.max(0, me.growth));
  put(at("growth"), number(me.growth));
  put(at("points"), number(me.points.balance));
  put(at("pending"), me.points.pending ? say("m_pending", { n: number(me.points.pending) }) : "");
  const [soon] = me.points.expiring;
  put(at("expiring"), soon ? say("m_expiring", { n: number(soon.points), time: time(soon.at, now()) }) : "");
  put(at("code"), me.referral_code);
  put(at("stages"), say("m_stages", { n: me.referrals.length }));
  const born = me.birthday;
  put(at("birthday"), born ? `${say("m_" + born.calendar)} ${born.month}-${born.day}` : "");
  at("born").hidden = Boolean(born);
  at("gift").hidden = me.gift !== "waiting";
}

async function load() {
  if (!hasToken()) { at("not").hidden = false; return; }
  const of = whose();
  const me = await call("GET", "/v1/me");
  if (of !== whose()) return;
  at("centre").hidden = false;
  at("not").hidden = true;
  show(me);
  const [rewards, coupons, postings] = await Promise.all(["/v1/rewards", "/v1/me/coupons", "/v1/me/postings"].map((path) => call("GET", path)));
  if (of !== whose()) return;
  rows(at("rewards"), rewards.rewards.map((reward) => row(reward.title ?? reward.id, button(say("m_redeem", { n: number(reward.points) }), () => redeem(reward)))));
  rows(at("coupons"), coupons.coupons.map((coupon) => row(coupon.title, say("c_" + coupon.state))));
  rows(at("lines"), postings.postings.map((line) => row(
    time(line.at, now()), kind(line.kind), say("a_" + line.account), (line.amount > 0 ? "+" : "") + number(line.amount),
  )));
}

at("born").onsubmit = (event) => {
  event.preventDefault();
  const [month, day] = [Number(at("month").value), Number(at("day").value)];
  attempt(() => call("PUT", "/v1/me/birthday", { calendar: at("calendar").value, month, day }));
};
at("gift").onclick = () => attempt(() => call("POST", "/v1/me/birthday-gift"));
at("copy").onclick = async () => {
  try { await navigator.clipboard.writeText(at("code").textContent); put(at("copy"), say("m_copied")); } catch { /* Not allowed here. */ }
};
at("language").onclick = switchLanguage;
speak();
document.title = say("m_title");
start(async function begin() {
  const of = whose();
  at("centre").hidden = true;
  keys.clear();
  for (let pause = 500; of === whose(); pause = Math.min(pause * 2, 8000)) {
    try {
      await load();
      return put(at("link"), "");
    } catch (error) {
      if (error.status === 401) return forgetToken();
      if (error.status === 404) { at("not").hidden = false; return put(at("link"), ""); }
      put(at("link"), say("again"));
      await new Promise((done) => setTimeout(done, pause));
    }
  }
});
