// Elements: made, filled, replaced.

import { say } from "./words.js";

/** A press that confirms comes so long after the one that asked, at least and at most. */
const NOT_BEFORE_MS = 400;
const ASKED_FOR_MS = 5000;

/** Makes an element. `props` are its properties; `aria` may hold more. Children may be texts, elements, or nothing. */
export function el(tag, props = {}, ...children) {
  const { aria = {}, ...own } = props;
  const made = Object.assign(document.createElement(tag), own);
  for (const [name, value] of Object.entries(aria)) made.setAttribute("aria-" + name, value);
  made.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return made;
}

/** A button that does something once at a time. A failure is told by `onError`. */
export function button(words, act, onError) {
  const made = el("button", { type: "button", className: "small", textContent: words });
  let isBusy = false;
  // A disabled button would lose the focus.
  const busy = (is) => { isBusy = is; made.ariaDisabled = is ? "true" : null; };
  made.onclick = async () => {
    if (isBusy) return;
    busy(true);
    try { await act(); } catch (error) { onError(error); } finally { busy(false); }
  };
  return made;
}

/** As `button`, for what cannot be undone: it asks once more. */
export function sureButton(words, act, onError) {
  let [askedAt, timer] = [0, 0];
  const forget = () => { askedAt = 0; made.textContent = words; };
  const made = button(words, async () => {
    const since = performance.now() - askedAt;
    // The second press of a double click confirms nothing.
    if (askedAt && since < NOT_BEFORE_MS) return;
    clearTimeout(timer);
    if (!askedAt) {
      askedAt = performance.now();
      made.textContent = say("d_sure", { what: words });
      timer = setTimeout(forget, ASKED_FOR_MS);
      return;
    }
    forget();
    await act();
  }, onError);
  made.classList.add("grave");
  return made;
}

/** A table: a head of texts, and rows of texts or elements. Numbers stand right. */
export function table(head, rows, caption) {
  const cell = (value) => {
    const isNumber = typeof value === "number";
    const text = isNumber ? value.toLocaleString(document.documentElement.lang) : value;
    return el("td", { className: isNumber ? "number" : "" }, text ?? "");
  };
  return el("div", { className: "scrolls", tabIndex: 0 }, el("table", {},
    caption && el("caption", {}, caption),
    el("thead", {}, el("tr", {}, head.map((text, i) => el("th", { scope: "col", className: typeof rows[0]?.[i] === "number" ? "number" : "" }, text)))),
    el("tbody", {}, rows.length
      ? rows.map((row) => el("tr", {}, row.map(cell)))
      : el("tr", {}, el("td", { colSpan: head.length, className: "quiet" }, say("m_none"))))));
}

const reachable = (node) => [...node.querySelectorAll("a, button, input, select, summary, .scrolls")];

/** Gives a node new content if it is another one. The focus and what was scrolled stay where they were. */
export function renew(node, ...content) {
  const fresh = el("div", {}, content);
  if (fresh.innerHTML === node.innerHTML) return;
  const scrolled = [...node.querySelectorAll(".scrolls")].map((box) => box.scrollLeft);
  const focused = node.contains(document.activeElement) ? document.activeElement : null;
  const place = focused && reachable(node).indexOf(focused);
  node.replaceChildren(...fresh.childNodes);
  [...node.querySelectorAll(".scrolls")].forEach((box, i) => { box.scrollLeft = scrolled[i] ?? 0; });
  if (!focused) return;
  // A link is the same wherever it stands by now.
  const same = focused.href && reachable(node).find((other) => other.href === focused.href);
  (same || reachable(node)[place])?.focus({ preventScroll: true });
}

/** A name and its value, as a list of facts has them. */
export const fact = (name, value, more = {}) => el("p", more, el("span", { className: "quiet" }, name), el("b", {}, value));

/** Hands the user a file. */
export function download(name, blob) {
  const link = el("a", { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
