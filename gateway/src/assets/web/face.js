// What the one large button says: a function of what is known, and of nothing else.

const HOLDING = ["reserved", "confirmed", "paid", "returned"];

/** The unpaid order that is due first, which is what the button is about until it is paid. */
export const unpaid = (orders, now) =>
  orders.filter((order) => order.status === "confirmed" && new Date(order.pay_by) > now)
    .sort((a, b) => new Date(a.pay_by) - new Date(b.pay_by))[0];

/** Units that the member's orders hold, as far as this page knows. */
export const held = (orders, you) =>
  Math.max(you?.held ?? 0, orders.filter((o) => HOLDING.includes(o.status)).reduce((sum, o) => sum + o.units, 0));

/**
 * The face: `kind` (what it looks like), `say` and `with` (its words), `help` (what to do next), and `act`: what
 * pressing it does, or nothing. `sale` is null while it is not known, and false if there is none.
 */
export function face({ sale, state, you, waiting, orders, going, kept, isReady, hasToken, now, left, mayReturn }) {
  if (sale === false) return { kind: "off", say: "b_unknown", help: "h_unknown" };
  if (!sale || !isReady) return { kind: "off", say: "b_loading" };
  if (going) return { kind: "busy", say: going === "kept" ? "b_kept" : "b_going", help: "h_going" };
  if (kept) return { kind: "pay", say: "b_resend", help: "h_resend", act: "resend" };
  const due = unpaid(orders, now);
  if (due) return { kind: "pay", say: "b_pay", with: { order: due }, help: "h_pay", act: "pay" };
  if (orders.some((order) => order.status === "reserved")) return { kind: "busy", say: "b_going", help: "h_going" };
  const has = held(orders, you);
  const isPaid = orders.some((order) => order.status === "paid");
  if (state === "closed") return { kind: isPaid ? "won" : "off", say: isPaid ? "b_paid" : "b_closed" };
  if (!hasToken || !you) return { kind: "off", say: "b_sign_in", help: "h_sign_in" };
  if (!you.opens_at) return { kind: "off", say: "b_tier", help: "h_tier" };
  if (waiting?.position === 0) return { kind: "busy", say: "b_offer" };
  if (waiting) return { kind: "wait", say: "b_waits", with: { n: waiting.position }, help: "h_waits" };
  if (has >= you.limit) {
    return { kind: "won", say: isPaid ? "b_paid" : "b_limit", with: { n: has }, help: "h_limit" };
  }
  if (state === "paused") return { kind: "off", say: "b_paused", help: "h_paused" };
  if (new Date(you.opens_at) > now) {
    return { kind: "soon", say: "b_opens", with: { until: you.opens_at }, help: "h_opens" };
  }
  if (state === "sold_out" || left === 0) {
    return mayReturn === false
      ? { kind: "off", say: "b_gone", help: "h_gone" }
      : { kind: "wait", say: "b_sold_out", help: "h_sold_out", act: "join" };
  }
  return { kind: "buy", say: "b_buy", help: "h_buy", act: "buy" };
}

/** Whether the member may buy one more, beside what the button is about. */
export const mayBuyAnother = ({ state, you, orders, now, left }) =>
  Boolean(you?.opens_at && new Date(you.opens_at) <= now && state === "open" && left > 0 && held(orders, you) < you.limit);

/** The key of the words for a refusal, and what they are filled with. */
export function refusal({ code, body = {}, wait }) {
  if (code === "sold_out" && body.left > 0) return ["r_sold_out_left", body];
  if (code === "sold_out" && body.may_return === false) return ["r_gone", body];
  // A reward has a limit as well, and tells no units.
  if (code === "limit_reached" && body.held === undefined) return ["r_reward_limit", body];
  return ["r_" + code, { ...body, wait }];
}

// Steps of an order's life. An answer that was on its way while a newer event came is not news.
const STEPS = { reserved: 0, confirmed: 1, released: 1, paid: 2, cancelled: 2, expired: 2, refund_due: 3, returned: 3, refunded: 4 };

/** Takes in an order; returns whether it is news. */
export function take(orders, order) {
  const known = orders.get(order.order_id);
  if (known && STEPS[order.status] < STEPS[known.status]) return false;
  orders.set(order.order_id, order);
  return !known || known.status !== order.status;
}
