// The member's centre: tier, growth and points, what they are good for, and what came and went.

import { refusal } from "./face.js";
import { put } from "./orders.js";
import { Refused, call, forgetToken, hasToken, insist, newKey, now, start, whose } from "./server.js";
import { money, say, speak, switchLanguage, time, within } from "./words.js";

const TIERS = ["regular", "silver", "gold", "platinum", "diamond"];
/** Of so many sales, the newest, the member's orders are asked for. */
const SALES = 20;
/** So many lots of points are shown that expire. */
const LOTS = 6;
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

const said = (key, otherwise) => (say(key) === key ? otherwise : say(key));

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
  at("expiring").replaceChildren(...me.points.expiring.slice(0, LOTS).map((lot) => row(say("m_expiring", { n: number(lot.points), time: time(lot.at, now()) }))));
  put(at("saved"), money(me.saved_cents, me.currency));
  put(at("code"), me.referral_code);
  put(at("stages"), say("m_stages", { n: me.referrals.filter(({ state }) => state === "paid").length }));
  at("referrals").replaceChildren(...me.referrals.map(({ stage, state }) => row(said("s_" + stage, stage), said("s_" + state, state))));
  const born = me.birthday;
  put(at("birthday"), born ? `${say("m_" + born.calendar)} ${born.leap ? say("m_leap") + " " : ""}${born.month}-${born.day}` : "");
  at("born").hidden = Boolean(born);
  at("gift").hidden = me.gift !== "waiting";
}

/** The member's orders in the sales that are listed, newest first. */
async function orders() {
  // Those that are over are on a list of their own.
  const pages = await Promise.all(["", "?state=closed"].map((query) => call("GET", "/v1/sales" + query)));
  const sales = [...new Map(pages.flatMap((page) => page.sales).map((sale) => [sale.id, sale])).values()];
  const newest = sales.sort((a, b) => new Date(b.closes_at) - new Date(a.closes_at)).slice(0, SALES);
  const of = (sale) => call("GET", "/v1/orders?sale=" + encodeURIComponent(sale.id))
    .then((page) => page.orders.map((order) => ({ ...order, title: sale.title })), (error) => {
      // The sale may be gone by now.
      if (error.status === 404) return [];
      throw error;
    });
  const found = (await Promise.all(newest.map(of))).flat();
  return found.sort((a, b) => new Date(b.reserved_at) - new Date(a.reserved_at));
}

function orderRow(order) {
  const link = document.createElement("a");
  link.href = "/room/" + encodeURIComponent(order.sale);
  link.textContent = order.title;
  const status = say("o_" + order.status, { time: order.pay_by ? within(order.pay_by, now()) : "" });
  return row(link, status, money(order.due_cents, order.currency));
}

const notice = ({ at: when, kind: of, tier, points, until }) =>
  row(time(when, now()), say("n_" + of, { tier: tier && say(tier), n: points && number(points), time: until && time(until, now()) }));

async function load() {
  if (!hasToken()) { at("not").hidden = false; return; }
  const of = whose();
  const me = await call("GET", "/v1/me").catch((error) => {
    if (error.status === 404) return null;
    throw error;
  });
  if (of !== whose()) return;
  at("not").hidden = me !== null;
  if (me === null) return;
  at("centre").hidden = false;
  show(me);
  const paths = ["/v1/rewards", "/v1/me/coupons", "/v1/me/postings", "/v1/me/notices"];
  const [own, rewards, coupons, postings, { notices }] = await Promise.all([orders(), ...paths.map((path) => call("GET", path))]);
  if (of !== whose()) return;
  rows(at("orders"), own.map(orderRow));
  at("news").hidden = notices.length === 0;
  at("notices").replaceChildren(...notices.reverse().map(notice));
  rows(at("rewards"), rewards.rewards.map((reward) => row(reward.title ?? reward.id, button(say("m_redeem", { n: number(reward.points) }), () => redeem(reward)))));
  rows(at("coupons"), coupons.coupons.map((coupon) => row(coupon.title, say("c_" + coupon.state))));
  rows(at("lines"), postings.postings.map((line) => row(
    time(line.at, now()), kind(line.kind), say("a_" + line.account), (line.amount > 0 ? "+" : "") + number(line.amount),
  )));
}

// Only a lunar year has leap months.
at("calendar").onchange = () => {
  at("leaps").hidden = at("calendar").value !== "lunar";
  at("leap").checked = false;
};
at("born").onsubmit = (event) => {
  event.preventDefault();
  const [month, day] = [Number(at("month").value), Number(at("day").value)];
  attempt(() => call("PUT", "/v1/me/birthday", { calendar: at("calendar").value, month, day, ...(at("leap").checked && { leap: true }) }));
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
      put(at("link"), say("again"));
      await new Promise((done) => setTimeout(done, pause));
    }
  }
});
