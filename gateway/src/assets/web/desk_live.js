// A running sale, every second: what comes in, what becomes of it, and how the store keeps up.

import { bars, chart } from "./desk_charts.js";
import { Samples, answerTimes, projected, worst } from "./desk_samples.js";
import { actionsOf } from "./desk_actions.js";
import { el, fact, renew, table } from "./dom.js";
import { call, fetched, now } from "./server.js";
import { say, time, within } from "./words.js";

const TIERS = ["diamond", "platinum", "gold", "silver", "regular"];
const EVERY_MS = 1000;
/** Unpaid orders and the waitlist are read this many times less often. */
const SLOWLY = 10;
const METRICS_EVERY = 5;
/** So many pages of unpaid orders are read. */
const PAGES = 20;
const CLIFF_BARS = 12;

/** What was seen of the sales that were looked at last, so that a look elsewhere loses no curve. */
const seen = new Map();
const SEEN_MAX = 8;

function samplesOf(id) {
  const samples = seen.get(id) ?? new Samples();
  seen.delete(id);
  seen.set(id, samples);
  if (seen.size > SEEN_MAX) seen.delete(seen.keys().next().value);
  return samples;
}

/** Whoever signs in next begins anew. */
export function forgetSeen() { seen.clear(); }

const markWords = ({ mark, tier, units }) => (mark === "window_opened" ? say(tier) : say("d_mark_" + mark, { n: units }));

/** Marks of one second are one. */
function together(marks) {
  const found = [];
  for (const [at, words] of marks) {
    if (found.length && at - found.at(-1)[0] < 1) found.at(-1)[1] += ", " + words;
    else found.push([at, words]);
  }
  return found;
}

/** How much unpaid orders give back, by when they are due: bars of equal time. */
function cliff(orders) {
  const due = orders.filter((order) => order.pay_by).map((order) => [new Date(order.pay_by).getTime(), order.units]);
  if (due.length === 0) return el("p", { className: "quiet" }, say("m_none"));
  const [first, last] = [Math.min(...due.map(([at]) => at)), Math.max(...due.map(([at]) => at))];
  const step = Math.max(1000, Math.ceil((last - first + 1) / CLIFF_BARS));
  const rows = Array.from({ length: Math.ceil((last - first + 1) / step) }, (_, i) => [first + i * step, 0]);
  for (const [at, units] of due) rows[Math.floor((at - first) / step)][1] += units;
  return bars(rows.map(([at, units]) => [time(new Date(at).toISOString(), now()), units]), "cliff");
}

function byTier(report) {
  const head = [say("d_tier"), say("d_clicks"), say("d_refused_n"), say("d_orders"), say("d_o_reserved"), say("d_confirmed"), say("d_o_paid"), say("d_o_cancelled"), say("d_o_expired"), say("d_o_released")];
  return table(head, TIERS.filter((tier) => report.windows[tier] || report.by_tier[tier].orders || report.by_tier[tier].refused).map((tier) => {
    const of = report.by_tier[tier];
    return [say(tier), of.orders + of.refused, of.refused, of.orders, of.reserved, of.confirmed, of.paid, of.cancelled, of.expired, of.released];
  }));
}

export function openLive(view, desk, id, isRehearsal = false) {
  const path = "/v1/sales/" + encodeURIComponent(id);
  const from = path + (isRehearsal ? "/rehearsal" : "");
  // A rehearsal under the same name may be another one.
  const samples = isRehearsal ? new Samples() : samplesOf(id);
  let [isOpen, last] = [true, null];
  const part = (className = "card") => el("section", { className });
  const [head, facts, health, funnel, refused, tiers, unpaid, waiting] = Array.from({ length: 8 }, () => part());
  facts.className = health.className = "card facts";
  const actions = el("p", { className: "line" });
  const banner = isRehearsal && el("p", { className: "banner" }, say("d_rehearsal_banner"));
  const stock = chart(say("d_stock_over_time"), [say("d_left")]);
  const rates = chart(say("d_each_second"), [say("d_clicks"), say("d_accepted"), say("d_confirmed"), say("d_o_paid")]);
  view.append(banner || "", head, actions, facts, stock.section, rates.section, el("div", { className: "two" }, funnel, refused), health, tiers,
    el("div", { className: "two" }, unpaid, waiting));
  const titled = (node, words, ...content) => renew(node, el("h2", {}, words), ...content);
  const doing = actionsOf(desk, id, isRehearsal, () => read());
  actions.append(...doing.buttons);

  function show(report) {
    const { flow } = report;
    renew(head,
      el("p", { className: "line" }, el("span", { className: "chip " + report.state }, say(report.archived ? "d_archived" : report.state)),
        el("span", { className: "quiet end" }, say("closes", { time: time(report.closes_at, now()) }))),
      el("h1", {}, report.title), el("small", { className: "quiet" }, report.id),
    );
    const ends = projected(samples);
    renew(facts,
      fact(say("d_left"), say("left", { left: report.left, stock: report.stock })), fact(say("d_o_reserved"), String(report.reserved)),
      fact(say("d_confirmed"), String(report.confirmed)), fact(say("d_o_paid"), String(report.paid)), fact(say("d_waiting"), String(report.waiting)),
      fact(say("d_sold_out_in"), ends === null ? "–" : within(new Date(now() + ends * 1000).toISOString(), now())),
    );
    const marks = together(report.marks.map((mark) => [new Date(mark.at) / 1000, markWords(mark)]));
    stock.set(samples.times, [samples.of("left")], marks);
    rates.set(samples.times, ["clicks", "accepted", "confirmed", "paid"].map((name) => samples.rate(name)), marks);
    titled(funnel, say("d_funnel"), bars([
      [say("d_clicks"), flow.clicks], [say("d_accepted"), flow.accepted], [say("d_confirmed"), flow.confirmed], [say("d_o_paid"), flow.paid],
    ].map(([name, n], i, all) => [name, n, i ? share(n, all[i - 1][1]) : ""])));
    const codes = Object.entries(report.refused).filter(([, n]) => n).sort((a, b) => b[1] - a[1]);
    titled(refused, say("d_refused_by"), codes.length ? bars(codes.map(([code, n]) => [say("d_code_" + code) === "d_code_" + code ? code : say("d_code_" + code), n])) : el("p", { className: "quiet" }, say("m_none")));
    titled(tiers, say("d_by_tier"), el("p", { className: "quiet" }, say("d_by_tier_help")), byTier(report));
    showHealth(report);
    doing.show(report);
  }

  const share = (n, of) => (of ? `${Math.round((n / of) * 100)} %` : "");

  /** The figures of the last seconds, each beside its usual; the one that is worst beside its own is red. */
  function showHealth(report) {
    // How long answers took is not told of a rehearsal: its members are no clients.
    const figures = samples.health().filter(({ usual }) => usual !== null);
    const bad = report.trouble ? null : worst(figures);
    const words = (value, unit) => (value === null ? "–" : `${value < 10 ? value.toFixed(1) : Math.round(value).toLocaleString()} ${unit}`);
    renew(health, el("h2", {}, say("d_health")),
      ...(report.node ? [fact(say("d_node"), report.node)] : []),
      fact(say("d_store"), report.trouble ?? say("d_well"), { className: report.trouble ? "bad" : "" }),
      ...figures.map(({ name, value, usual, unit }) => fact(say(name), [words(value, unit), el("small", { className: "quiet" }, " " + say("d_usual", { value: words(usual, unit) }))], { className: name === bad ? "bad" : "" })));
  }

  /** Unpaid orders, page after page; none are asked for where there are none. */
  async function unpaidOrders() {
    const found = [];
    for (let [page, after] = [0, 0]; last.confirmed && page < PAGES && after !== undefined; page += 1) {
      const { orders, next } = await call("GET", `${path}/orders?status=confirmed&limit=10000&after=${after}`);
      found.push(...orders);
      after = next;
    }
    return found;
  }

  async function readSlowly() {
    const [orders, { waiting: list, all }] = await Promise.all([unpaidOrders(), call("GET", path + "/waitlist")]);
    if (!isOpen) return;
    titled(unpaid, say("d_cliff"), el("p", { className: "quiet" }, say("d_cliff_help")), cliff(orders));
    titled(waiting, `${say("d_waiting")} · ${all}`, table(["#", say("d_member"), say("d_tier"), say("units")],
      list.slice(0, 20).map((of) => [of.position, of.member, say(of.tier), of.units])));
  }

  async function read(turn = 1) {
    const [report, metrics] = await Promise.all([call("GET", from), turn % METRICS_EVERY === 0 && !isRehearsal ? fetched("/metrics").then((answer) => answer.text()) : null]);
    if (!isOpen) return;
    if (samples.take(report, metrics === null ? undefined : answerTimes(metrics))) show(report);
    last = report;
  }

  async function keep(turn = 0) {
    try {
      await read(turn);
      if (!isRehearsal && !last.archived && turn % SLOWLY === 0) await readSlowly();
      desk.well();
    } catch (error) {
      desk.again(error);
      // What is not there does not come.
      if (error.status === 404 && isOpen) {
        desk.tell(say(isRehearsal ? "d_rehearsal_over" : "b_unknown"));
        return;
      }
    }
    if (isOpen) setTimeout(() => keep(turn + 1), EVERY_MS);
  }
  unpaid.hidden = waiting.hidden = isRehearsal;
  keep();
  return () => { isOpen = false; stock.close(); rates.close(); };
}

