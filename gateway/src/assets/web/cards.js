// The sales as cards: price, state, stock, and a countdown to the member's own window.

import { put } from "./orders.js";
import { call, forgetToken, hasToken, now, start, tierSaid } from "./server.js";
import { money, say, speak, switchLanguage, time, until } from "./words.js";

const EVERY_MS = 3000;
const at = (name) => document.getElementById(name);
const cards = new Map();
let tier = null;

/** Page after page. */
async function all() {
  const sales = [];
  let after = "";
  do {
    const page = await call("GET", "/v1/sales?after=" + encodeURIComponent(after));
    sales.push(...page.sales);
    after = page.next;
  } while (after);
  return sales;
}

function make(sale) {
  const card = document.createElement("a");
  card.className = "card";
  card.href = "/room/" + encodeURIComponent(sale.id);
  card.innerHTML = `<div class="stage" aria-hidden="true"><span class="art"></span><img alt="" loading="lazy" hidden></div><div class="text">
    <p class="line"><span class="chip"></span><span class="quiet when end"></span></p><h2></h2>
    <p class="money"><strong class="price"></strong> <s class="quiet list"></s> <span class="rule"></span></p>
    <div class="bar" aria-hidden="true"><span></span></div><p class="left quiet"></p></div>`;
  cards.set(sale.id, { card, sale });
  return card;
}

function show({ card, sale }) {
  const part = (name) => card.querySelector(name);
  const own = tier && sale.prices[tier] !== undefined ? sale.prices[tier] : sale.price_cents;
  put(part(".art"), [...sale.title.trim()][0] ?? "");
  const picture = part("img");
  if (sale.image_url && picture.getAttribute("src") !== sale.image_url) {
    picture.onload = () => { picture.hidden = false; };
    picture.onerror = () => { picture.hidden = true; };
    picture.src = sale.image_url;
  } else if (!sale.image_url) picture.hidden = true;
  put(part("h2"), sale.title);
  put(part(".chip"), say(sale.state));
  part(".chip").className = "chip " + sale.state;
  put(part(".price"), money(own, sale.currency));
  put(part(".list"), own < sale.price_cents ? money(sale.price_cents, sale.currency) : "");
  put(part(".rule"), own < sale.price_cents ? say("tier", { tier: say(tier) }) : "");
  put(part(".left"), sale.left ? say("left", { left: sale.left, stock: sale.stock }) : say("gone"));
  part(".bar span").style.transform = `scaleX(${sale.stock ? sale.left / sale.stock : 0})`;
  part(".bar").classList.toggle("few", sale.left * 5 <= sale.stock);
  const opens = tier ? sale.windows[tier] : Object.values(sale.windows).sort()[0];
  const when = () => {
    if (sale.state === "closed") return "";
    if (tier && !opens) return say("nobody");
    if (new Date(opens) > now()) return say("b_opens", { time: until(opens, now()) });
    return say("closes", { time: time(sale.closes_at, now()) });
  };
  put(part(".when"), when());
}

async function render() {
  try {
    const sales = await all();
    at("none").hidden = sales.length > 0;
    const ids = new Set(sales.map((sale) => sale.id));
    for (const [id, { card }] of cards) if (!ids.has(id)) { card.remove(); cards.delete(id); }
    sales.forEach((sale, place) => {
      const card = cards.get(sale.id)?.card ?? make(sale);
      cards.get(sale.id).sale = sale;
      if (at("sales").children[place] !== card) at("sales").insertBefore(card, at("sales").children[place] ?? null);
    });
    cards.forEach(show);
    put(at("link"), "");
  } catch (error) {
    if (error.status === 401) forgetToken();
    else put(at("link"), say("again"));
  }
  setTimeout(render, EVERY_MS);
}

async function whoAmI() {
  at("me").hidden = !hasToken();
  // Who is not enrolled has the tier that the platform says.
  try { tier = hasToken() ? (await call("GET", "/v1/me")).tier : null; } catch { tier = tierSaid() ?? null; }
  cards.forEach(show);
}

speak();
document.title = say("sales");
at("language").onclick = switchLanguage;
start(whoAmI);
render();
setInterval(() => cards.forEach(show), 1000);
