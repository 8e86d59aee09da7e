// A sale to make or to change: fields that are checked as one types, and a picture of the windows.

import { button, el } from "./dom.js";
import { call, now } from "./server.js";
import { money, say, time } from "./words.js";

const TIERS = ["diamond", "platinum", "gold", "silver", "regular"];
/** Ready-made sales: minutes from the first window at which each tier's opens, and limits. A tier without either may not buy. */
const TEMPLATES = {
  member_drop: { opens: [0, 1, 2, 3, 4], limits: [3, 2, 2, 1, 1] },
  gold_and_above: { opens: [0, 1, 2], limits: [3, 2, 1] },
  for_all: { opens: [0, 0, 0, 0, 0], limits: [1, 1, 1, 1, 1] },
};
const MINUTE = 60_000;
/** Fields that hold what the server says, as it is. */
const PLAIN = ["id", "title", "price_cents", "currency", "stock", "pay_within_s", "image_url", "member_day_price_cents"];

/** What was typed into a form that was left: another language, or a look elsewhere, loses nothing of it. */
let draft = null;

/** An instant as a field of local time has it, and back. */
const local = (ms) => new Date(ms - new Date(ms).getTimezoneOffset() * MINUTE).toISOString().slice(0, 19);
const instant = (text) => (text ? new Date(text).getTime() : NaN);

/** What is wrong with a sale, by field: the same rules as the server's, which has the last word. */
function faults(sale, at) {
  const found = {};
  const note = (field, is) => { if (!is) found[field] ??= say("d_f_" + field.split(".")[0]); };
  note("id", /^[a-z0-9-]{1,40}$/.test(sale.id));
  note("title", sale.title.trim() !== "" && sale.title.length <= 200);
  note("currency", /^[A-Z]{3}$/.test(sale.currency));
  note("price_cents", Number.isSafeInteger(sale.price_cents) && sale.price_cents >= 0 && (sale.price_cents === 0) === sale.free);
  note("stock", Number.isInteger(sale.stock) && sale.stock >= 1 && sale.stock <= 10_000_000);
  note("pay_within_s", Number.isInteger(sale.pay_within_s) && sale.pay_within_s >= 1);
  const opens = TIERS.filter((tier) => sale.windows[tier]);
  note("windows", opens.length > 0);
  note("points_share_max", sale.points_share_max >= 0 && sale.points_share_max <= 100);
  note("member_day_price_cents", sale.member_day_price_cents === undefined || sale.member_day_price_cents <= sale.price_cents);
  note("image_url", !sale.image_url || /^https?:\/\/\S+$/.test(sale.image_url));
  // A higher tier never opens later.
  opens.slice(1).forEach((tier, i) => note("windows." + tier, new Date(sale.windows[opens[i]]) <= new Date(sale.windows[tier])));
  for (const tier of opens) note("limits." + tier, Number.isInteger(sale.limits[tier]) && sale.limits[tier] >= 1 && sale.limits[tier] <= 65_535);
  const last = Math.max(...opens.map((tier) => new Date(sale.windows[tier])));
  note("closes_at", new Date(sale.closes_at) > Math.max(last, at));
  return found;
}

/** The windows on a line of time, one bar a tier. */
function timeLine(sale, at) {
  const opens = TIERS.filter((tier) => sale.windows[tier]).map((tier) => [tier, new Date(sale.windows[tier]).getTime()]);
  const [first, last] = [Math.min(...opens.map(([, ms]) => ms)), Math.max(...opens.map(([, ms]) => ms))];
  const close = new Date(sale.closes_at).getTime();
  // A close that is far away would leave nothing to see of the windows.
  const end = Math.min(close || Infinity, Math.max(last + (last - first || 10 * MINUTE) * 0.5, first + MINUTE));
  const part = (ms) => Math.max(0, Math.min(100, ((ms - first) / (end - first)) * 100));
  return el("ul", { className: "time-line" }, opens.map(([tier, ms]) => {
    const bar = el("span", { className: "span tier " + tier });
    bar.style.marginLeft = part(ms) + "%";
    return el("li", {}, el("span", {}, say(tier)), el("span", { className: "track" }, bar),
      el("small", { className: "quiet" }, `${time(new Date(ms).toISOString(), at)} · ${say("upto", { n: sale.limits[tier] ?? "?" })}`));
  }));
}

export function openForm(view, desk, from, isChange = false) {
  const inputs = {};
  const field = (name, type, more = {}) => {
    inputs[name] = el("input", { type, name, required: true, ...more });
    const fault = el("small", { className: "bad", id: "fault-" + name });
    inputs[name].setAttribute("aria-describedby", fault.id);
    return el("label", { className: "field" }, el("span", {}, say("d_l_" + name.split(".")[0])), inputs[name], fault);
  };
  const tick = (name, isOn) => {
    inputs[name] = el("input", { type: "checkbox", name, checked: isOn });
    return el("label", { className: "tick" }, inputs[name], el("span", {}, say("d_l_" + name)));
  };
  const picture = el("div");
  const price = el("small", { className: "quiet" });
  const tiers = TIERS.map((tier) => {
    const opens = inputs["windows." + tier] = el("input", { type: "datetime-local", step: 1, name: "windows." + tier, aria: { label: `${say(tier)}: ${say("d_l_windows")}` } });
    const limit = inputs["limits." + tier] = el("input", { type: "number", min: 1, max: 65_535, name: "limits." + tier, aria: { label: `${say(tier)}: ${say("d_l_limits")}` } });
    for (const input of [opens, limit]) input.setAttribute("aria-describedby", "fault-windows." + tier);
    return el("li", {}, el("span", { className: "tier " + tier }, say(tier)), opens, limit, el("small", { className: "bad", id: "fault-windows." + tier }));
  });
  const more = el("details", {}, el("summary", {}, say("d_for_members")),
    el("div", { className: "two" }, field("member_day_price_cents", "number", { min: 0, required: false }), field("points_share_max", "number", { min: 0, max: 100, required: false }),
      field("coupons", "text", { required: false })),
    el("p", { className: "line" }, tick("free", false), tick("listed", true), tick("enrolled", false), tick("adults_only", false), el("span", {}, say("d_l_audience")),
      TIERS.map((tier) => {
        inputs["audience." + tier] = el("input", { type: "checkbox", name: "audience." + tier, checked: true });
        return el("label", { className: "tick" }, inputs["audience." + tier], el("span", {}, say(tier)));
      })));
  const form = el("form", { className: "card form" },
    el("h1", {}, say(isChange ? "d_change" : "d_new")),
    !isChange && el("p", { className: "line" }, say("d_templates"), Object.keys(TEMPLATES).map((name) =>
      button(say("d_t_" + name), () => { template(name); check(); }, desk.fail))),
    el("div", { className: "two" }, field("id", "text", { disabled: isChange }), field("title", "text"),
      field("price_cents", "number", { min: 0 }), field("currency", "text", { maxLength: 3 }), field("stock", "number", { min: 1, max: 10_000_000 }),
      field("pay_within_s", "number", { min: 1 }), field("image_url", "url", { required: false }), field("closes_at", "datetime-local", { step: 1 })),
    price,
    more,
    el("h2", {}, say("windows")), el("p", { className: "quiet" }, say("d_windows_help")), el("ul", { className: "tiers" }, tiers), picture,
    el("p", { className: "line" }, el("button", { className: "small primary" }, say(isChange ? "m_save" : "d_make"))));
  view.append(form);

  /** The sale that the fields say. */
  function sale() {
    const value = (name) => inputs[name].value.trim();
    const when = (name) => (Number.isNaN(instant(value(name))) ? undefined : new Date(instant(value(name))).toISOString());
    const byTier = (of) => Object.fromEntries(TIERS.map((tier) => [tier, of(tier)]).filter(([, it]) => it !== undefined));
    const windows = byTier((tier) => when("windows." + tier));
    return {
      id: value("id"), title: value("title"), price_cents: Number(value("price_cents")), free: inputs.free.checked,
      currency: value("currency").toUpperCase(), stock: Number(value("stock")), pay_within_s: Number(value("pay_within_s")),
      windows, limits: byTier((tier) => (windows[tier] ? Number(value("limits." + tier)) : undefined)), closes_at: when("closes_at"),
      ...((value("image_url") || isChange) && { image_url: value("image_url") }),
      ...(value("member_day_price_cents") && { member_day_price_cents: Number(value("member_day_price_cents")) }),
      points_share_max: Number(value("points_share_max")), coupons: value("coupons").split(/[\s,]+/).filter(Boolean),
      listed: inputs.listed.checked, adults_only: inputs.adults_only.checked,
      audience: { tiers: TIERS.filter((tier) => inputs["audience." + tier].checked), enrolled: inputs.enrolled.checked },
    };
  }

  function check() {
    const found = faults(sale(), now());
    for (const name of Object.keys(inputs)) {
      const told = found[name] ?? "";
      inputs[name].setCustomValidity(told);
      inputs[name].ariaInvalid = told === "" ? null : "true";
      const fault = document.getElementById("fault-" + name) ?? document.getElementById("fault-" + name.replace("limits", "windows"));
      if (fault && (told || name.startsWith("windows") || !name.startsWith("limits"))) fault.textContent = told;
    }
    // What is wrong in what is folded away is shown: a browser would refuse the form without a word.
    if (["member_day_price_cents", "points_share_max"].some((name) => found[name])) more.open = true;
    const { windows, price_cents: cents, currency } = sale();
    picture.replaceChildren(Object.keys(windows).length ? timeLine(sale(), now()) : el("p", { className: "bad" }, say("d_f_windows")));
    try { price.textContent = money(cents, currency); } catch { price.textContent = ""; }
    return Object.keys(found).length === 0 && Object.keys(windows).length > 0;
  }

  function fill(given) {
    for (const name of PLAIN) inputs[name].value = given[name] ?? "";
    inputs.points_share_max.value = given.points_share_max ?? 0;
    inputs.coupons.value = (given.coupons ?? []).join(", ");
    inputs.free.checked = given.free ?? given.price_cents === 0;
    inputs.listed.checked = given.listed ?? true;
    inputs.adults_only.checked = given.adults_only ?? false;
    inputs.enrolled.checked = given.audience?.enrolled ?? false;
    for (const tier of TIERS) inputs["audience." + tier].checked = given.audience?.tiers.includes(tier) ?? true;
    inputs.closes_at.value = given.closes_at ? local(new Date(given.closes_at).getTime()) : "";
    for (const tier of TIERS) {
      inputs["windows." + tier].value = given.windows[tier] ? local(new Date(given.windows[tier]).getTime()) : "";
      inputs["limits." + tier].value = given.windows[tier] ? given.limits[tier] : "";
    }
  }

  /** The whole minute in some ten minutes, so that there is time to look. */
  const soon = () => Math.ceil(now() / MINUTE + 10) * MINUTE;

  function template(name) {
    const { opens, limits } = TEMPLATES[name];
    const of = (values) => Object.fromEntries(TIERS.map((tier, i) => [tier, values[i]]).filter(([, value]) => value !== undefined));
    const first = soon();
    const windows = of(opens.map((minutes) => new Date(first + minutes * MINUTE).toISOString()));
    const typed = Object.fromEntries(PLAIN.map((of) => [of, inputs[of].value]));
    fill({ ...sale(), ...typed, windows, limits: of(limits), closes_at: new Date(first + 60 * MINUTE).toISOString() });
  }

  /** Another sale's terms, with its windows moved to begin soon. */
  function moved(other) {
    const first = Math.min(...Object.values(other.windows).map((at) => new Date(at).getTime()));
    const by = soon() - first;
    const shift = (at) => new Date(new Date(at).getTime() + by).toISOString();
    return { ...other, id: "", windows: Object.fromEntries(Object.entries(other.windows).map(([tier, at]) => [tier, shift(at)])), closes_at: shift(other.closes_at) };
  }

  form.oninput = () => { isTouched = true; check(); };
  form.onsubmit = async (event) => {
    event.preventDefault();
    if (!check()) return;
    const { id, ...terms } = sale();
    try {
      // The server changes what is named, and after the first window only a part of it: what stayed is not sent.
      const changed = isChange && Object.fromEntries(Object.entries(terms).filter(([name, value]) => JSON.stringify(value) !== JSON.stringify(was[name])));
      await (isChange ? call("PATCH", "/v1/sales/" + encodeURIComponent(from), changed) : call("POST", "/v1/sales", { id, ...terms }));
      isDone = true;
      desk.go("#/sale/" + encodeURIComponent(isChange ? from : id));
    } catch (error) { desk.fail(error); }
  };
  /** Only what somebody typed is kept when the form is left, and only over terms that were read. */
  let [was, isDone, isTouched] = [{}, false, false];
  const values = () => Object.fromEntries(Object.entries(inputs).map(([name, input]) => [name, input.type === "checkbox" ? input.checked : input.value]));
  fill({ currency: "CNY", stock: 100, price_cents: 19_900, pay_within_s: 900, windows: {}, limits: {} });
  if (draft?.hash === location.hash) {
    isTouched = true;
    for (const [name, value] of Object.entries(draft.values)) inputs[name][inputs[name].type === "checkbox" ? "checked" : "value"] = value;
    was = draft.was;
  } else if (from === undefined) template("member_drop");
  else {
    call("GET", "/v1/sales/" + encodeURIComponent(from)).then((other) => {
      fill(isChange ? other : moved(other));
      was = sale();
      // What was typed before the terms came is gone with them.
      isTouched = false;
      form.hidden = false;
      check();
    }).catch(desk.fail);
    form.hidden = true;
  }
  check();
  const { hash } = location;
  return () => { draft = isTouched && !isDone ? { hash, values: values(), was } : null; };
}

/** Whoever signs in next finds nothing of it. */
export function forgetDraft() { draft = null; }
