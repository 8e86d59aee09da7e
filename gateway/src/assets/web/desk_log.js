// The audit log: who did what, newest first.

import { button, el, table } from "./dom.js";
import { call, now } from "./server.js";
import { say, time } from "./words.js";

/** So many of the newest are shown. */
const SHOWN = 500;
/** So many pages are read at one press. */
const PAGES = 50;

export function openLog(view, desk) {
  let entries = [];
  let after = 0;
  const told = el("div");
  const read = async () => {
    for (let page = 0; page < PAGES; page += 1) {
      const { entries: more, next } = await call("GET", "/v1/audit?after=" + after);
      entries = [...entries, ...more].slice(-SHOWN);
      after = next;
      if (more.length === 0) break;
    }
    told.replaceChildren(table(["#", say("d_when"), say("d_by"), say("d_action"), say("d_about"), say("d_state"), say("d_change")], [...entries].reverse().map((entry) => [
      entry.id, time(entry.at, now()), entry.by, entry.action, entry.sale ?? entry.member ?? "", entry.state,
      el("code", { className: "change" }, entry.after ? JSON.stringify(entry.after) : ""),
    ]), say("d_log")));
  };
  view.append(el("p", { className: "line" }, el("h1", {}, say("d_log")), button(say("d_read"), read, desk.fail)), told);
  read().catch(desk.fail);
}
