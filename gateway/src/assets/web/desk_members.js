// Members for support: who it is, what they have, their orders, and why they did not get it.

import { button, download, el, fact, sureButton, table } from "./dom.js";
import { LONG_MS, call, fetched, newKey, now } from "./server.js";
import { money, say, time } from "./words.js";

/** In so many sales a member's orders are looked for. */
const SALES = 20;
const when = (at) => time(at, now());
const orderRow = (order) => [
  el("a", { href: "#/members/" + encodeURIComponent(order.order_id) }, order.order_id), el("a", { href: "#/members/" + encodeURIComponent(order.member) }, order.member), say(order.tier),
  order.units, say("d_o_" + order.status), money(order.due_cents, order.currency), when(order.reserved_at), order.payment_ref,
];
const orderHead = () => [say("d_order"), say("d_member"), say("d_tier"), say("units"), say("d_state"), say("d_due"), say("d_clicked"), say("d_payment_ref")];
/** What is not there is nothing; any other refusal is one. */
const orNone = (asked) => asked.catch((error) => { if ([404, 400].includes(error.status)) return null; throw error; });

export function openMembers(view, desk, wanted) {
  const input = el("input", { type: "search", value: wanted ?? "", placeholder: say("d_search_help"), aria: { label: say("d_search_help") } });
  const form = el("form", { className: "card line" }, input, el("button", { className: "small" }, say("d_search")));
  form.onsubmit = (event) => {
    event.preventDefault();
    if (input.value.trim()) desk.go("#/members/" + encodeURIComponent(input.value.trim()));
  };
  const found = el("div", { className: "centre" });
  view.append(form, found);
  if (wanted) look(wanted).catch(desk.fail);
  else blockedOnes().catch(desk.fail);

  async function blockedOnes() {
    const { members } = await call("GET", "/v1/blocked");
    found.replaceChildren(el("section", { className: "card" }, el("h2", {}, say("d_blocked")), table([say("d_member"), ""],
      members.map((member) => [el("a", { href: "#/members/" + encodeURIComponent(member) }, member), unblock(member)]))));
  }

  const unblock = (member) => desk.may("operator") && button(say("d_unblock"), async () => { await call("DELETE", "/v1/blocked/" + encodeURIComponent(member)); await blockedOnes(); }, desk.fail);

  /** A name is an order's, its payment reference, or a member's. */
  async function look(name) {
    const path = encodeURIComponent(name);
    const order = await orNone(call("GET", "/v1/orders/" + path));
    if (order) return showOrder(order);
    return showMember(name, path);
  }

  function showOrder(order) {
    const facts = Object.entries(order).map(([name, value]) => [name, name.endsWith("_at") || name === "pay_by" ? when(value) : String(value)]);
    found.replaceChildren(el("section", { className: "card" }, el("h1", {}, order.order_id),
      el("p", { className: "line" }, el("a", { className: "small", href: "#/members/" + encodeURIComponent(order.member) }, order.member),
        el("a", { className: "small", href: "#/sale/" + encodeURIComponent(order.sale) }, order.sale)),
      table([say("d_field"), say("d_value")], facts)));
  }

  async function showMember(name, path) {
    const [account, postings, blocked] = await Promise.all([
      orNone(call("GET", "/v1/members/" + path)), orNone(call("GET", `/v1/members/${path}/postings`)), call("GET", "/v1/blocked"),
    ]);
    const isBlocked = blocked.members.includes(name);
    const block = button(say("d_block"), async () => { await call("PUT", "/v1/blocked/" + path); await showMember(name, path); }, desk.fail);
    const again = button(say("d_unblock"), async () => { await call("DELETE", "/v1/blocked/" + path); await showMember(name, path); }, desk.fail);
    const exported = button(say("d_export"), async () => download(`${name}.json`, await (await fetched(`/v1/members/${path}/export`)).blob()), desk.fail);
    const erase = sureButton(say("d_erase"), async () => { await call("DELETE", "/v1/members/" + path, undefined, {}, LONG_MS); desk.go("#/members"); }, desk.fail);
    const bought = el("section", { className: "card" }, el("h2", {}, say("d_orders")));
    ordersOf(path).then((orders) => bought.append(table(orderHead(), orders.map(orderRow), say("d_orders_help", { n: SALES }))), desk.fail);
    found.replaceChildren(...[
      el("section", { className: "card" }, el("h1", {}, name),
        el("p", { className: "line" }, el("span", { className: "chip" }, account ? say(account.tier) : say("d_not_enrolled")), isBlocked && el("span", { className: "chip closed" }, say("d_blocked")),
          desk.may("operator") && (isBlocked ? again : block), desk.may("agent") && exported, desk.may("admin") && erase),
        account && el("div", { className: "facts" }, fact(say("m_growth"), account.growth.toLocaleString()), fact(say("m_points"), account.points.balance.toLocaleString()),
          fact(say("d_pending"), account.points.pending.toLocaleString()), fact(say("m_code"), account.referral_code))),
      why(name, path),
      account && desk.may("operator") && adjust(name, path),
      bought,
      el("section", { className: "card" }, el("h2", {}, say("m_lines")), table([say("d_when"), say("d_kind"), say("d_account"), say("d_amount"), say("d_source")],
        (postings?.postings ?? []).map((line) => [when(line.at), say("k_" + line.kind) === "k_" + line.kind ? line.kind : say("k_" + line.kind), say("a_" + line.account), line.amount, line.source ?? ""]))),
    ].filter(Boolean));
  }

  /** A member's orders in the sales that close last. */
  async function ordersOf(path) {
    const { sales } = await call("GET", "/v1/sales");
    const newest = sales.sort((a, b) => new Date(b.closes_at) - new Date(a.closes_at)).slice(0, SALES);
    const pages = await Promise.all(newest.map(({ id }) => orNone(call("GET", `/v1/members/${path}/orders?sale=${encodeURIComponent(id)}`))));
    return pages.flatMap((page) => page?.orders ?? []);
  }

  /** Why did they not get it? Asked for one sale. */
  function why(name, path) {
    const sale = el("input", { required: true, placeholder: say("d_sale"), aria: { label: say("d_sale") } });
    const known = el("datalist", { id: "sales-known" });
    sale.setAttribute("list", known.id);
    call("GET", "/v1/sales").then(({ sales }) => known.append(...sales.map(({ id }) => el("option", { value: id })))).catch(() => {});
    const told = el("div");
    const form = el("form", { className: "line" }, sale, known, el("button", { className: "small" }, say("d_why")));
    form.onsubmit = async (event) => {
      event.preventDefault();
      try {
        const of = await call("GET", `/v1/sales/${encodeURIComponent(sale.value)}/why/${path}`);
        told.replaceChildren(
          el("div", { className: "facts" }, fact(say("d_tier"), of.tier ? say(of.tier) : say("d_tier_by_token")), fact(say("d_window"), of.opens_at ? when(of.opens_at) : "–"),
            fact(say("d_limit"), of.limit === undefined ? "–" : `${of.held} / ${of.limit}`), fact(say("d_blocked"), of.blocked ? say("d_yes") : say("d_no")),
            of.in_audience !== undefined && fact(say("d_audience"), of.in_audience ? say("d_yes") : say("d_no"))),
          table([say("d_when"), say("d_reason"), say("d_left")], of.refusals.map((refusal) => [when(refusal.at), say("d_code_" + refusal.code) === "d_code_" + refusal.code ? refusal.code : say("d_code_" + refusal.code), refusal.left]),
            of.kept_since ? say("d_kept_since", { time: when(of.kept_since) }) : undefined),
          table(orderHead(), of.orders.map(orderRow)),
        );
      } catch (error) { desk.fail(error); }
    };
    return el("section", { className: "card" }, el("h2", {}, say("d_why_title")), form, told);
  }

  function adjust(name, path) {
    const account = el("select", { aria: { label: say("d_account") } }, ["points", "growth"].map((of) => el("option", { value: of }, say("a_" + of))));
    const amount = el("input", { type: "number", required: true, aria: { label: say("d_amount") }, placeholder: say("d_amount") });
    const reason = el("input", { required: true, maxLength: 200, aria: { label: say("d_reason") }, placeholder: say("d_reason") });
    const form = el("form", { className: "line" }, account, amount, reason, el("button", { className: "small" }, say("d_adjust")));
    let id = newKey();
    // What is asked for otherwise is another correction.
    form.oninput = () => { id = newKey(); };
    form.onsubmit = async (event) => {
      event.preventDefault();
      try {
        await call("POST", `/v1/members/${path}/adjustments`, { id, account: account.value, amount: Number(amount.value), reason: reason.value });
        id = newKey();
        desk.tell(say("m_done"));
        await showMember(name, path);
      } catch (error) { desk.fail(error); }
    };
    return el("section", { className: "card" }, el("h2", {}, say("d_adjustments")), form);
  }
}
