// The audit log: who did what, newest first.

import { button, el, table } from "./dom.js";
import { call, now } from "./server.js";
import { say, time } from "./words.js";

/** So many of the newest are shown. */
const SHOWN = 500;

/** What was read: the log only grows, so the next look goes on where this one ended. */
let [entries, after] = [[], 0];

const word = (key, otherwise) => (say(key) === key ? otherwise : say(key));
const state = (value) => el("code", { className: "change" }, value ? JSON.stringify(value) : "");
const row = (entry) => [
  entry.id, time(entry.at, now()), entry.by, word("d_a_" + entry.action, entry.action), entry.sale ?? entry.member ?? "",
  el("span", { className: entry.state === "failed" ? "bad" : "" }, word("d_s_" + entry.state, entry.state) + (entry.why ? `: ${entry.why}` : "")),
  state(entry.before), state(entry.after),
];

/** Whoever signs in next reads it anew. */
export function forgetLog() { [entries, after] = [[], 0]; }

export function openLog(view, desk) {
  let isOpen = true;
  const told = el("div");
  const read = async () => {
    for (let more = [null]; more.length && isOpen;) {
      const page = await call("GET", "/v1/audit?after=" + after);
      more = page.entries;
      entries = [...entries, ...more].slice(-SHOWN);
      after = page.next;
    }
    told.replaceChildren(table(["#", say("d_when"), say("d_by"), say("d_action"), say("d_about"), say("d_state"), say("d_before"), say("d_after")],
      [...entries].reverse().map(row), say("d_log")));
  };
  view.append(el("p", { className: "line" }, el("h1", {}, say("d_log")), button(say("d_read"), read, desk.fail)), told);
  read().catch(desk.fail);
  return () => { isOpen = false; };
}
