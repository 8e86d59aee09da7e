// A live room: what the sale is, what it is for you, and one stream that keeps both true.
const sale = decodeURIComponent(location.pathname.split("/").pop());
const at = (id) => document.getElementById(id);
const put = (id, text) => { at(id).textContent = text; };
const path = "/v1/sales/" + encodeURIComponent(sale);
let token = sessionStorage.getItem("token") || "";
let ahead = 0; // Of this clock, the server's, in milliseconds: windows open by the server's.
let facts = null;
let lastId = "";
let stream = null;
const orders = new Map();

const auth = () => (token ? { authorization: "Bearer " + token } : {});
const now = () => Date.now() + ahead;
const TIERS = ["diamond", "platinum", "gold", "silver", "regular"];

function time(text) {
  const then = new Date(text);
  const isToday = then.toDateString() === new Date(now()).toDateString();
  return isToday ? then.toLocaleTimeString() : then.toLocaleString();
}

function countdown(until) {
  const s = Math.max(0, Math.ceil((new Date(until) - now()) / 1000));
  return s > 3600 ? time(until) : `${Math.floor(s / 60)}:${String(s % 60).padStart(2, "0")}`;
}

async function call(method, url, body, more) {
  const answer = await fetch(url, { method, body, headers: { ...auth(), ...more } });
  const text = await answer.text();
  const json = text ? JSON.parse(text) : {};
  if (!answer.ok) throw new Error(json.detail || answer.statusText);
  return json;
}

function showSale({ state, left, waiting, server_time }) {
  ahead = new Date(server_time) - Date.now();
  put("state", state.replace("_", " "));
  at("state").className = "state " + state;
  put("left", `${left} left`);
  put("waiting", waiting ? `${waiting} waiting` : "");
  at("join").disabled = state !== "sold_out";
}

function showWaiting(waits) {
  at("leave").hidden = !waits;
  at("join").hidden = Boolean(waits);
  if (waits && waits.position) put("said", `You are number ${waits.position} on the waitlist, for ${waits.units}.`);
  else if (waits) put("said", "A unit came back: your order is on its way.");
}

function showOrders() {
  at("own").hidden = orders.size === 0;
  const items = [...orders.values()].sort((a, b) => b.number - a.number).map((order) => {
    const item = document.createElement("li");
    const text = document.createElement("span");
    const due = order.pay_by ? `, to be paid within ${countdown(order.pay_by)}` : "";
    text.textContent = `Order ${order.number}: ${order.units}, ${order.status.replace("_", " ")}${due}`;
    item.append(text);
    if (order.status === "confirmed") {
      const cancel = document.createElement("button");
      cancel.textContent = "Cancel";
      cancel.onclick = () => attempt(() => call("POST", `/v1/orders/${order.order_id}/cancel`));
      item.append(cancel);
    }
    return item;
  });
  at("orders").replaceChildren(...items);
}

// The currency's own minor digits: 5000 is 50.00 CNY and 5000 JPY.
function price(minor, currency) {
  const format = new Intl.NumberFormat("en", { style: "currency", currency });
  const digits = format.resolvedOptions().maximumFractionDigits;
  return `${(minor / 10 ** digits).toFixed(digits)} ${currency}`;
}

// What the member pays, the list price struck out where that is more, and the rule that says so.
function showPrice(you) {
  const own = you ? you.price_cents : facts.price_cents;
  const rule = { tier: `${you?.tier} price`, member_day: "member day" }[you?.price_kind] ?? "";
  put("price", price(own, facts.currency));
  put("list", own < facts.price_cents ? price(facts.price_cents, facts.currency) : "");
  put("rule", rule);
  at("spend").hidden = !you?.points_most;
  at("points").max = you?.points_most ?? 0;
  if (you?.points_most) at("points").placeholder = `up to ${you.points_most}`;
}

// Coupons that the member has; whether the sale takes them, it says itself.
async function showCoupons() {
  const none = new Option("none", "");
  try {
    const { coupons } = await call("GET", "/v1/me/coupons");
    const free = coupons.filter((coupon) => coupon.state === "free");
    at("coupon").replaceChildren(none, ...free.map((coupon) => new Option(coupon.title, coupon.id)));
    at("with").hidden = free.length === 0;
  } catch {
    // A member who is not enrolled has none.
    at("coupon").replaceChildren(none);
    at("with").hidden = true;
  }
}

async function load() {
  facts = await call("GET", path);
  document.title = facts.title;
  put("title", facts.title);
  showSale(facts);
  const you = facts.you;
  showPrice(you);
  at("act").hidden = !you;
  if (you) showCoupons();
  if (you) showWaiting(you.waiting);
  at("windows").replaceChildren(...TIERS.filter((tier) => facts.windows[tier]).map((tier) => {
    const row = document.createElement("tr");
    if (you && you.tier === tier) row.className = "you";
    for (const text of [tier, `from ${time(facts.windows[tier])}`, `up to ${facts.limits[tier]}`]) {
      row.insertCell().textContent = text;
    }
    return row;
  }));
}

// EventSource cannot send a token; a fetch that is read as it comes can.
async function listen() {
  stream?.abort();
  const mine = (stream = new AbortController());
  // Only a stream that has stood for a while shortens the pause before the next try.
  let began = Infinity;
  for (let pause = 500; !mine.signal.aborted; pause = Math.min(pause * 2, 8000)) {
    if (performance.now() - began > 10000) pause = 500;
    began = Infinity;
    try {
      const headers = { ...auth(), ...(lastId && { "last-event-id": lastId }) };
      const answer = await fetch(path + "/events", { headers, signal: mine.signal });
      if (answer.status === 401) return put("link", "your token is not valid any more");
      if (!answer.ok) throw new Error(answer.statusText);
      put("link", "live");
      began = performance.now();
      let rest = "";
      const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      for (let part = await reader.read(); !part.done; part = await reader.read()) {
        const events = (rest + part.value).split("\n\n");
        rest = events.pop();
        events.forEach(take);
      }
    } catch {
      // Cut off: again, after a pause that grows.
    }
    if (mine.signal.aborted) return;
    put("link", "connecting again");
    await new Promise((done) => setTimeout(done, pause * (0.5 + Math.random())));
  }
}

function take(text) {
  const fields = Object.fromEntries(text.split("\n").map((line) => line.split(/: (.*)/s)));
  if (!fields.data) return;
  const data = JSON.parse(fields.data);
  if (fields.id) lastId = fields.id;
  if (fields.event === "sale") showSale(data);
  if (fields.event === "waiting") showWaiting(data);
  if (fields.event === "order") {
    orders.set(data.order_id, data);
    showOrders();
  }
}

async function attempt(act) {
  try {
    await act();
  } catch (error) {
    put("said", error.message);
  }
}

const units = () => JSON.stringify({ units: Number(at("units").value) });

function wish() {
  const [points, coupon] = [Number(at("points").value), at("coupon").value];
  return JSON.stringify({
    units: Number(at("units").value), ...(points && { points }), ...(coupon && { coupon }),
  });
}

at("act").onsubmit = (event) => {
  event.preventDefault();
  attempt(async () => {
    // The same key until there is an answer: clicking again is safe.
    const key = (at("buy").dataset.key ||= crypto.randomUUID?.() || String(Math.random()).slice(2));
    const order = await call("POST", path + "/orders", wish(), { "idempotency-key": key });
    delete at("buy").dataset.key;
    put("said", `Order ${order.number} is ${order.status}: ${price(order.due_cents, order.currency)} to pay.`);
    attempt(load);
    orders.set(order.order_id, order);
    showOrders();
  });
};
at("join").onclick = () => attempt(async () => showWaiting(await call("POST", path + "/waitlist", units())));
at("leave").onclick = () => attempt(async () => {
  await call("DELETE", path + "/waitlist");
  showWaiting(null);
  put("said", "You do not wait any more.");
});
at("enter").onsubmit = (event) => {
  event.preventDefault();
  token = at("token").value.trim();
  sessionStorage.setItem("token", token);
  orders.clear();
  lastId = "";
  showOrders();
  attempt(load);
  listen();
};

setInterval(() => {
  if (!facts) return;
  const opens = facts.you && facts.you.opens_at;
  const early = opens && new Date(opens) > now();
  put("clock", early ? `opens for you in ${countdown(opens)}` : `closes ${new Date(facts.closes_at).toLocaleString()}`);
  at("buy").disabled = Boolean(early);
  showOrders();
}, 1000);
attempt(load);
listen();
