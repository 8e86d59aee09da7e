// The desk: who signs in, and which view is open.

import { Refused, call, now, signIn } from "./server.js";
import { say, speak, turnLanguage } from "./words.js";
import "./desk_words.js";
import { put } from "./orders.js";
import { openSales } from "./desk_sales.js";
import { forgetDraft, openForm } from "./desk_form.js";
import { forgetSeen, openLive } from "./desk_live.js";
import { openMembers } from "./desk_members.js";
import { openPlan } from "./desk_plan.js";
import { openReports } from "./desk_reports.js";
import { forgetLog, openLog } from "./desk_log.js";

const ROLES = ["viewer", "agent", "operator", "admin"];
const at = (name) => document.getElementById(name);
let key = null;
/** Ends what the open view has running. */
let close = () => {};

const may = (role) => key !== null && ROLES.indexOf(key.role) >= ROLES.indexOf(role);

/** What a view is given: the role, how to tell, how to go elsewhere. What it tells after it was closed is not heard. */
function deskOf(isOpen) {
  /** Whether what is told is that reading failed: it goes when reading works again. */
  let isStale = false;
  const tell = (words) => { if (isOpen()) put(at("said"), words); };
  const failed = (error) => { if (isOpen()) fail(error); };
  return {
    may, tell, fail: failed,
    go: (hash) => { location.hash = hash; },
    /** Reading again and again works. */
    well() {
      if (!isOpen()) return;
      put(at("link"), "");
      if (isStale) tell("");
      isStale = false;
    },
    /** Reading again and again fails. */
    again(error) {
      if (!isOpen()) return;
      if (error.status) { isStale = true; failed(error); } else { if (!(error instanceof Refused)) fault(error); put(at("link"), say("again")); }
    },
  };
}

/** A fault of this page is told by its console; that no answer came is none. */
function fault(error) {
  const isUnanswered = error.name === "TimeoutError" || error.message === "Failed to fetch";
  if (!isUnanswered) console.error(error);
}

/** Says what went wrong: field by field where the server says so. */
function fail(error) {
  if (!(error instanceof Refused)) {
    fault(error);
    return put(at("said"), say("r_lost"));
  }
  if (error.status === 401) return leave(say("d_bad_key"));
  const word = (name, otherwise) => (say(name) === name ? otherwise : say(name));
  const { detail, errors } = error.body;
  const fields = (errors ?? []).map(({ field, reason }) => `${word("d_l_" + field, field)}: ${word("d_f_" + field, reason)}`).join("; ");
  return put(at("said"), fields || word("d_e_" + error.code, detail) || say("d_refused", { code: error.code }));
}

const VIEWS = [
  [/^#?\/?$/, openSales],
  [/^#\/new(?:\/(.+))?$/, openForm],
  [/^#\/change\/(.+)$/, (view, given, id) => openForm(view, given, id, true)],
  [/^#\/sale\/([^/]+)$/, openLive],
  [/^#\/rehearsal\/([^/]+)$/, (view, given, id) => openLive(view, given, id, true)],
  [/^#\/members(?:\/(.+))?$/, openMembers],
  [/^#\/plan$/, openPlan],
  [/^#\/reports$/, openReports],
  [/^#\/log$/, openLog],
];

function show() {
  close();
  close = () => {};
  put(at("link"), "");
  put(at("said"), "");
  at("view").replaceChildren();
  at("enter").hidden = key !== null;
  at("nav").hidden = at("leave").hidden = key === null;
  if (key === null) return at("key").focus();
  for (const node of document.querySelectorAll("[data-may]")) node.hidden = !may(node.dataset.may);
  const part = location.hash.split("/")[1] ?? "";
  // A sale, a form, a rehearsal: all that is no view of its own belongs to the sales.
  const first = "#/" + (["members", "plan", "reports", "log"].includes(part) ? part : "");
  for (const link of at("nav").children) link.ariaCurrent = link.getAttribute("href") === first ? "page" : null;
  for (const [pattern, open] of VIEWS) {
    const found = pattern.exec(location.hash);
    if (!found) continue;
    const args = found.slice(1).map((part) => part && decodeURIComponent(part));
    let isOpen = true;
    const end = open(at("view"), deskOf(() => isOpen), ...args) ?? (() => {});
    close = () => { isOpen = false; end(); };
    return undefined;
  }
  location.hash = "#/";
  return undefined;
}

function title() {
  speak();
  document.title = say("d_desk");
  if (key) put(at("who"), `${key.name} · ${say("d_role_" + key.role)}`);
}

function leave(words = "") {
  key = null;
  signIn("");
  put(at("who"), "");
  show();
  // The view that was open has ended by now.
  forgetLog();
  forgetDraft();
  forgetSeen();
  put(at("said"), words);
}

at("enter").onsubmit = async (event) => {
  event.preventDefault();
  signIn(at("key").value);
  try {
    key = await call("GET", "/v1/key");
    at("key").value = "";
    title();
    show();
  } catch (error) {
    fail(error);
  }
};
// A key that expires while the page is open ends the session in the page as well.
setInterval(() => {
  if (key?.expires_at && new Date(key.expires_at) <= now()) leave(say("d_bad_key"));
}, 1000);
at("leave").onclick = () => leave();
// The key is in memory, so the page is not loaded anew.
at("language").onclick = () => {
  turnLanguage();
  title();
  show();
};
addEventListener("hashchange", () => {
  show();
  // A keyboard and a screen reader go on in the view that was opened.
  if (key) at("view").focus();
});
title();
show();
