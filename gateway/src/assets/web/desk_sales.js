// The sales: state, stock and what became of it, page after page; the list is read again every few seconds.

import { button, el, renew, table } from "./dom.js";
import { nodes } from "./desk_nodes.js";
import { call, now } from "./server.js";
import { say, time, until } from "./words.js";

const EVERY_MS = 3000;

/** When the first window opens, or when it closes. */
function when(sale) {
  const first = Object.values(sale.windows).sort()[0];
  if (sale.archived || sale.state === "closed") return say("closed");
  return new Date(first) > now() ? say("b_opens", { time: until(first, now()) }) : say("closes", { time: time(sale.closes_at, now()) });
}

function row(sale, desk) {
  const sold = sale.stock ? (sale.stock - sale.left) / sale.stock : 0;
  const bar = el("div", { className: "bar thin", aria: { hidden: "true" } }, el("span"));
  bar.firstChild.style.transform = `scaleX(${1 - sold})`;
  bar.classList.toggle("few", sale.left * 5 <= sale.stock);
  return [
    el("a", { href: "#/sale/" + encodeURIComponent(sale.id) }, el("b", {}, sale.title), el("br"), el("small", { className: "quiet" }, sale.node ? `${sale.id} · ${sale.node}` : sale.id)),
    el("span", { className: "chip " + sale.state }, say(sale.archived ? "d_archived" : sale.state)),
    when(sale),
    el("div", {}, say("left", { left: sale.left, stock: sale.stock }), bar),
    sale.reserved, sale.confirmed, sale.paid, sale.waiting,
    sale.trouble ? el("span", { className: "bad" }, sale.trouble) : "",
    desk.may("operator") ? el("a", { href: "#/new/" + encodeURIComponent(sale.id), className: "small" }, say("d_as_template")) : "",
  ];
}

export function openSales(view, desk) {
  let isOpen = true;
  /** The `after` of each page before this one. */
  const before = [];
  let [after, next] = ["", null];
  const list = el("div");
  const [others, readOthers] = nodes();
  const state = el("select", { aria: { label: say("d_state") } }, el("option", { value: "" }, say("d_all")),
    ["scheduled", "open", "paused", "sold_out", "closed"].map((value) => el("option", { value }, say(value))));
  state.onchange = () => { before.length = 0; after = ""; read().catch(desk.fail); };
  const back = button(say("d_back"), () => { after = before.pop() ?? ""; return read(); }, desk.fail);
  const more = button(say("d_more"), () => { before.push(after); after = next; return read(); }, desk.fail);
  view.append(
    el("p", { className: "line" }, el("h1", {}, say("d_sales")), state,
      desk.may("operator") && el("a", { href: "#/new", className: "small end" }, say("d_new"))),
    list, el("p", { className: "line" }, back, more), others,
  );

  async function read() {
    const page = await call("GET", `/v1/sales?after=${encodeURIComponent(after)}${state.value && "&state=" + state.value}`);
    if (!isOpen) return;
    next = page.next;
    back.hidden = before.length === 0;
    more.hidden = !next;
    renew(list, table(
      [say("d_sale"), say("d_state"), say("d_when"), say("d_stock"), say("d_o_reserved"), say("d_confirmed"), say("d_o_paid"), say("d_waiting"), "", ""],
      page.sales.map((sale) => row(sale, desk)), say("d_sales"),
    ));
  }
  async function keep() {
    try { await read(); desk.well(); } catch (error) { desk.again(error); }
    if (isOpen) setTimeout(keep, EVERY_MS);
  }
  /** A node that cannot be reached costs time, and the list does not wait for it. */
  async function keepNodes() {
    // Err: what the list says of the server holds for this, too.
    await readOthers().catch(() => {});
    if (isOpen) setTimeout(keepNodes, EVERY_MS);
  }
  keep();
  keepNodes();
  return () => { isOpen = false; };
}
