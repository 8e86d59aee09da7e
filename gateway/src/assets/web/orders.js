// The member's orders: one line each, changed in place, so that a button that has the focus keeps it.

import { money, say, within } from "./words.js";

const lines = new Map();

function line(order, onCancel) {
  const item = document.createElement("li");
  const [name, status, cancel] = ["span", "span", "button"].map((tag) => document.createElement(tag));
  status.className = "status";
  cancel.className = "small";
  cancel.type = "button";
  // A second press cancels, not too soon and not too late: an order is not given up by a slip.
  cancel.onclick = () => {
    if (cancel.dataset.asked === "sure") return onCancel(order.order_id);
    if (cancel.dataset.asked) return undefined;
    cancel.dataset.asked = "once";
    cancel.textContent = say("cancel_sure");
    setTimeout(() => { cancel.dataset.asked = "sure"; }, 400);
    setTimeout(() => { delete cancel.dataset.asked; cancel.textContent = say("cancel"); }, 5000);
    return undefined;
  };
  cancel.textContent = say("cancel");
  item.append(name, status, cancel);
  return { item, name, status, cancel };
}

/** Shows the orders, newest first. */
export function show(list, orders, now, onCancel) {
  const sorted = [...orders].sort((a, b) => (b.number - a.number));
  sorted.forEach((order, place) => {
    if (!lines.has(order.order_id)) lines.set(order.order_id, line(order, onCancel));
    const { item, name, status, cancel } = lines.get(order.order_id);
    if (list.children[place] !== item) list.insertBefore(item, list.children[place] ?? null);
    const units = order.units === 1 ? say("unit") : say("n_units", { n: order.units });
    put(name, say("order", { n: order.number, units }) + (order.due_cents ? " · " + money(order.due_cents, order.currency) : ""));
    put(status, say("o_" + order.status, { time: order.pay_by ? within(order.pay_by, now) : "" }));
    item.dataset.status = order.status;
    hide(cancel, !["reserved", "confirmed"].includes(order.status));
  });
}

/** Sets a text only where it is another one: a screen reader hears of changes alone. */
export function put(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** Hides a node or shows it. A button that goes while it has the focus leaves it to the large one. */
export function hide(node, isHidden) {
  if (isHidden && node.contains(document.activeElement)) document.getElementById("button")?.focus();
  node.hidden = isHidden;
}

export function forget(list) {
  lines.clear();
  list.replaceChildren();
}
