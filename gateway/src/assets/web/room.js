// A live room: what the sale is, what it is for you, and one stream that keeps both true.

import { face, held, mayBuyAnother, refusal, take, unpaid } from "./face.js";
import { forget, hide, put, show } from "./orders.js";
import { Refused, Unanswered, call, enter, follow, forgetToken, hasToken, insist, newKey, now, start, tellParent, whose } from "./server.js";
import { money, say, speak, switchLanguage, time, until, within } from "./words.js";

const TIERS = ["diamond", "platinum", "gold", "silver", "regular"];
const id = decodeURIComponent(location.pathname.split("/").pop());
const path = "/v1/sales/" + encodeURIComponent(id);
const PENDING = "click:" + id;
const at = (name) => document.getElementById(name);

/** A click without an answer is sent again by itself so long; later its member is asked. */
const FRESH_MS = 60_000;
/** Whoever waited so lately, and is told of an order, was offered it. */
const OFFER_MS = 60_000;

/** What is known of the member. */
const nobody = () => ({ you: null, waiting: null, waitedAt: 0, going: "", kept: null, isReady: false, mayReturn: undefined });
/** All that the page knows. `asOf`: by the server's clock, how old the state is. */
const room = { sale: null, state: "", left: 0, asOf: 0, orders: new Map(), ...nobody() };
let member = null;
let stream = null;
let windowsAt = 0;

const orders = () => [...room.orders.values()].sort((a, b) => a.number - b.number);
const known = () => ({ ...room, orders: orders(), hasToken: hasToken(), now: now() });

function tell(words, isLoud = false) {
  put(at("said"), isLoud ? "" : words);
  put(at("loud"), isLoud ? words : "");
}

function tellRefusal(error) {
  if (error instanceof Unanswered) return tell("");
  if (!(error instanceof Refused)) return tell(say("r_lost"));
  if (error.status === 401) forgetToken();
  const [key, values] = refusal(error);
  const words = say(key, values);
  tell(words === key ? say("r_other") : words);
  if (error.code === "sold_out") room.mayReturn = error.body.may_return;
}

// What is shown.

function showPrice() {
  const { sale, you } = room;
  const own = you?.price_cents ?? sale.price_cents;
  put(at("price"), money(own, sale.currency));
  put(at("list"), own < sale.price_cents ? money(sale.price_cents, sale.currency) : "");
  const rule = { tier: () => say("tier", { tier: say(you.tier) }), member_day: () => say("member_day") }[you?.price_kind];
  put(at("rule"), own < sale.price_cents && rule ? rule() : "");
  put(at("saved"), own < sale.price_cents ? say("save", { money: money(sale.price_cents - own, sale.currency) }) : "");
  at("points").max = you?.points_most ?? 0;
  put(at("points_help"), say("points_help", { n: you?.points_most ?? 0 }));
}

/** The picture, or the title's first letter while there is none or it does not come. */
function showPicture(url) {
  const picture = at("picture");
  if (!url) { picture.hidden = true; picture.removeAttribute("src"); return; }
  if (picture.getAttribute("src") === url) return;
  picture.onload = () => { picture.hidden = false; };
  picture.onerror = () => { picture.hidden = true; };
  picture.src = url;
}

function showWindows() {
  const { sale, you } = room;
  windowsAt = now();
  at("windows").replaceChildren(...TIERS.filter((tier) => sale.windows[tier]).map((tier) => {
    const row = document.createElement("li");
    const isYours = you?.tier === tier;
    row.className = "tier " + tier + (isYours ? " you" : "");
    const isOpen = new Date(sale.windows[tier]) <= now();
    const opens = isOpen ? say("since") : say("from", { time: time(sale.windows[tier], now()) });
    for (const text of [say(tier) + (isYours ? ` · ${say("you")}` : ""), opens, say("upto", { n: sale.limits[tier] })]) {
      const cell = document.createElement("span");
      cell.textContent = text;
      row.append(cell);
    }
    return row;
  }));
}

function showStock() {
  const { sale, left, state } = room;
  const bar = at("bar");
  bar.setAttribute("aria-valuemax", sale.stock);
  bar.setAttribute("aria-valuenow", left);
  at("fill").style.transform = `scaleX(${sale.stock ? left / sale.stock : 0})`;
  bar.classList.toggle("few", left * 5 <= sale.stock);
  put(at("left"), left ? say("left", { left, stock: sale.stock }) : say("gone"));
  put(at("state"), say(state));
  at("state").className = "chip " + state;
  put(at("queue"), room.crowd ? say("waiting", { n: room.crowd }) : "");
  put(at("closes"), state === "closed" ? "" : say("closes", { time: time(sale.closes_at, now()) }));
}

function words(shown) {
  const { with: values = {} } = shown;
  if (values.order) {
    return say(shown.say, { money: money(values.order.due_cents, values.order.currency), time: within(values.order.pay_by, now()) });
  }
  return say(shown.say, values.until ? { time: until(values.until, now()) } : values);
}

function help(shown) {
  const { sale, you } = room;
  if (!shown.help) return "";
  const admitted = sale ? TIERS.filter((tier) => sale.windows[tier]).map((tier) => say(tier)).join(" · ") : "";
  const n = you ? you.limit - held(orders(), you) : 0;
  return say(shown.help, { tier: you && say(you.tier), time: you?.opens_at && time(you.opens_at, now()), tiers: admitted, n });
}

/** Draws what changes with the clock and with events. Nothing that is as it was is touched. */
function draw() {
  const all = known();
  const shown = face(all);
  const button = at("button");
  document.querySelector("main").classList.toggle("none", room.sale === false);
  put(button, words(shown));
  button.className = "big " + shown.kind;
  button.dataset.act = shown.act ?? "";
  // A disabled button would lose the focus, and a screen reader would not find it.
  button.setAttribute("aria-disabled", String(!shown.act));
  put(at("help"), help(shown));
  const limit = Math.max(1, (room.you?.limit ?? 1) - held(all.orders, room.you));
  at("units").max = Math.min(limit, room.left || limit);
  if (Number(at("units").value) > limit) at("units").value = limit;
  hide(at("choose"), !(shown.act === "buy" || shown.kind === "soon" || shown.act === "join") || limit < 2);
  at("spend").hidden = !room.you?.points_most;
  at("with").hidden = at("coupon").options.length < 2;
  hide(at("extras"), (at("spend").hidden && at("with").hidden) || !["buy", "soon"].includes(shown.kind));
  hide(at("another"), !(shown.act === "pay" && mayBuyAnother(all)));
  hide(at("leave"), !(room.waiting && room.waiting.position > 0));
  hide(at("drop"), shown.act !== "resend");
  at("own").hidden = all.orders.length === 0;
  show(at("orders"), all.orders, now(), cancel);
  const hasOpened = (tier) => new Date(room.sale.windows[tier]) > windowsAt && new Date(room.sale.windows[tier]) <= now();
  if (room.sale && TIERS.some(hasOpened)) {
    const isOwn = room.you && hasOpened(room.you.tier);
    showWindows();
    if (isOwn) tell(say("said_open"));
    // Not all viewers ask at the same instant.
    look(Math.random() * 5000);
  }
}

// What happens.

/** Takes in the sale's state, unless it is older than what is known. Returns whether it was news. */
function takeSale({ state, left, waiting, server_time }) {
  const asOf = new Date(server_time).getTime();
  if (asOf < room.asOf) return false;
  const hasChanged = room.state !== state || left > (room.sale?.stock ?? left);
  Object.assign(room, { state, left, asOf, crowd: waiting ?? room.crowd });
  if (left > 0) room.mayReturn = undefined;
  if (room.sale) showStock();
  return hasChanged;
}

function takeWaiting(waiting) {
  const was = room.waiting;
  room.waiting = waiting ?? null;
  if (was || waiting) room.waitedAt = now();
  if (waiting?.position > 0 && was?.position !== waiting.position) tell(say("said_waits", { n: waiting.position }));
}

function takeOrder(order) {
  if (!take(room.orders, order)) return;
  if (order.status === "confirmed") {
    const isOffer = !mine.has(order.order_id) && !room.going && now() - room.waitedAt < OFFER_MS;
    room.waiting = null;
    tell(say(isOffer ? "said_offer" : "said_confirmed", { time: order.pay_by ? within(order.pay_by, now()) : "" }), isOffer);
    if (isOffer) navigator.vibrate?.([80, 40, 80]);
  } else if (["reserved", "paid", "cancelled"].includes(order.status)) {
    tell(say("said_" + order.status));
  } else {
    tell(say("o_" + order.status));
  }
  look();
}

/** Orders that this page's own clicks became. */
const mine = new Set();

let looking = null;
/** Asks what the sale is for the member now; calls that come together are one. */
function look(after = 150) {
  looking ??= new Promise((done) => setTimeout(done, after)).then(load).catch(() => {}).finally(() => { looking = null; });
}

async function load() {
  const of = whose();
  let sale;
  try {
    sale = await call("GET", path);
  } catch (error) {
    if (of === whose() && error.status === 404) { room.sale = false; stream?.abort(); draw(); }
    if (of === whose() && error.status === 401) tellRefusal(error);
    throw error;
  }
  // An answer for who was signed in before is nobody's.
  if (of !== whose()) return;
  const isFirst = !room.sale;
  Object.assign(room, { sale, you: sale.you ?? null });
  if (takeSale(sale)) room.waiting = sale.you?.waiting ?? null;
  if (room.waiting) room.waitedAt = now();
  if (isFirst) {
    document.title = sale.title;
    put(at("title"), sale.title);
    at("art").textContent = [...sale.title.trim()][0] ?? "";
    showPicture(sale.image_url);
  }
  showPrice();
  showWindows();
  showStock();
  draw();
}

async function loadOwn() {
  if (!hasToken()) return;
  const of = whose();
  const { orders: own } = await call("GET", "/v1/orders?sale=" + encodeURIComponent(id));
  if (of === whose()) own.forEach((order) => take(room.orders, order));
}

async function loadCoupons() {
  const none = new Option(say("no_coupon"), "");
  let free = [];
  try {
    if (hasToken()) free = (await call("GET", "/v1/me/coupons")).coupons.filter((coupon) => coupon.state === "free");
  } catch { /* A member who is not enrolled has none. */ }
  at("coupon").replaceChildren(none, ...free.map((coupon) => new Option(coupon.title, coupon.id)));
}

function listen() {
  stream?.abort();
  const own = (stream = new AbortController());
  let isAgain = false;
  follow(path + "/events", own.signal, {
    onLink: (state, status) => {
      document.body.dataset.link = state;
      put(at("link"), state === "refused" ? "" : say(state));
      if (status === 401 && !own.signal.aborted) tellRefusal(new Refused(401, { code: "unauthenticated" }));
      // What happened meanwhile is not told by the stream alone.
      if (state === "live" && isAgain) look();
      isAgain = true;
    },
    onEvent: (kind, data) => {
      if (own.signal.aborted) return;
      if (kind === "sale" && takeSale(data)) look(Math.random() * 2000);
      if (kind === "waiting") takeWaiting(data);
      if (kind === "order") takeOrder(data);
      draw();
    },
  });
}

// What the member does.

/** The click that has no answer yet: whose, under which key, for what, since when. */
const pending = {
  read: () => {
    try {
      const click = JSON.parse(sessionStorage.getItem(PENDING));
      return click?.member === whose() ? click : null;
    } catch { return null; }
  },
  keep: (click) => { try { sessionStorage.setItem(PENDING, JSON.stringify(click)); } catch { /* Not kept. */ } },
  done: () => { try { sessionStorage.removeItem(PENDING); } catch { /* Not kept. */ } },
};

/** Sends a click until there is an answer, under one key, also after a reload: it buys once, and for one member. */
async function send(click) {
  if (room.going) return;
  Object.assign(room, { going: "going", kept: null });
  pending.keep(click);
  tell("");
  draw();
  const isStillTheirs = () => whose() === click.member;
  try {
    const order = await insist("POST", path + "/orders", click.body, click.key, (why) => {
      if (!isStillTheirs()) return;
      room.going = "kept";
      tell(say(why === "lost" ? "lost" : "again_busy"));
      draw();
    });
    if (!isStillTheirs()) return;
    mine.add(order.order_id);
    pending.done();
    room.going = "";
    // What was wished for is had: the next click asks for one, paid with money.
    Object.assign(at("units"), { value: 1 });
    Object.assign(at("points"), { value: 0 });
    at("coupon").value = "";
    takeOrder(order);
    loadCoupons();
  } catch (error) {
    if (!isStillTheirs()) return;
    room.going = "";
    if (error instanceof Unanswered) room.kept = click; else pending.done();
    tellRefusal(error);
    look();
  }
  draw();
}

function buy() {
  const [units, points, coupon] = [Number(at("units").value) || 1, Number(at("points").value), at("coupon").value];
  const body = { units, ...(points && { points }), ...(coupon && { coupon }) };
  send({ member: whose(), key: newKey(), body, at: Date.now() });
}

async function attempt(act) {
  try { await act(); } catch (error) { tellRefusal(error); }
  draw();
}

const join = () => attempt(async () => takeWaiting(await call("POST", path + "/waitlist", { units: Number(at("units").value) || 1 })));
const cancel = (order) => attempt(async () => takeOrder(await call("POST", `/v1/orders/${order}/cancel`)));

/** The platform's page is told what to pay; without one, the member is told the number to pay under. */
function pay() {
  const due = unpaid(orders(), now());
  if (!due) return draw();
  const { order_id, payment_ref, due_cents, currency, pay_by } = due;
  if (!tellParent({ type: "flashlane:pay", order_id, payment_ref, due_cents, currency, pay_by })) {
    tell(say("said_pay", { ref: payment_ref }));
  }
  return undefined;
}

const resend = () => room.kept && send(room.kept);

at("button").onclick = () => ({ buy, join, pay, resend })[at("button").dataset.act]?.();
at("another").onclick = buy;
at("drop").onclick = () => {
  pending.done();
  room.kept = null;
  draw();
};
at("leave").onclick = () => attempt(async () => {
  await call("DELETE", path + "/waitlist");
  room.waiting = null;
  tell(say("said_left"));
});
for (const [name, step] of [["fewer", -1], ["more", 1]]) {
  at(name).onclick = () => {
    const units = at("units");
    units.value = Math.min(Number(units.max) || 1, Math.max(1, Number(units.value) + step));
  };
}
at("language").onclick = switchLanguage;
at("dev").onsubmit = (event) => { event.preventDefault(); enter(at("token").value); };

speak();
const query = new URLSearchParams(location.search);
at("dev").hidden = !query.has("dev");
at("stage").hidden = query.get("stage") === "none";

/** Learns all there is for whoever is signed in, until that is done; then listens to what changes. */
async function begin() {
  const of = whose();
  for (let pause = 500; of === whose() && room.sale !== false; pause = Math.min(pause * 2, 8000)) {
    try {
      await Promise.all([load(), loadOwn()]);
      break;
    } catch {
      await new Promise((done) => setTimeout(done, pause));
    }
  }
  if (of !== whose() || room.sale === false) return;
  room.isReady = true;
  listen();
  const click = hasToken() ? pending.read() : null;
  if (click && Date.now() - click.at < FRESH_MS) send(click);
  else if (click) room.kept = click;
  draw();
  await loadCoupons();
}

start(() => {
  if (member === whose() && room.isReady) {
    // A renewed token: nothing else has changed, but for a click that waited for it.
    listen();
    if (room.kept) send(room.kept);
    return;
  }
  member = whose();
  stream?.abort();
  Object.assign(room, nobody());
  room.orders.clear();
  mine.clear();
  forget(at("orders"));
  begin();
  draw();
});
draw();
setInterval(draw, 250);
