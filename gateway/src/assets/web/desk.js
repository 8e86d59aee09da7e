// The desk: who signs in, and which view is open.

import { Refused, call, now, signIn } from "./server.js";
import { say, speak, switchLanguage } from "./words.js";
import "./desk_words.js";
import { put } from "./orders.js";
import { openSales } from "./desk_sales.js";
import { openForm } from "./desk_form.js";
import { openLive } from "./desk_live.js";
import { openMembers } from "./desk_members.js";
import { openPlan } from "./desk_plan.js";
import { openReports } from "./desk_reports.js";
import { openLog } from "./desk_log.js";

const ROLES = ["viewer", "agent", "operator", "admin"];
const at = (name) => document.getElementById(name);
let key = null;
/** Ends what the open view has running. */
let close = () => {};

/** What a view is given: the role, how to tell, how to go elsewhere. */
const desk = {
  may: (role) => key !== null && ROLES.indexOf(key.role) >= ROLES.indexOf(role),
  tell: (words) => put(at("said"), words),
  fail,
  go: (hash) => { location.hash = hash; },
  link: (words) => put(at("link"), words),
};

/** Says what went wrong: field by field where the server says so. */
function fail(error) {
  if (!(error instanceof Refused)) {
    // No answer came, or this page has a fault, which its console tells.
    const isUnanswered = error.name === "TimeoutError" || error.message === "Failed to fetch";
    if (!isUnanswered) console.error(error);
    return put(at("said"), say("r_lost"));
  }
  if (error.status === 401) return leave(say("d_bad_key"));
  const { detail, errors } = error.body;
  const fields = (errors ?? []).map(({ field, reason }) => `${field}: ${reason}`).join("; ");
  return put(at("said"), fields || detail || say("d_refused", { code: error.code }));
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
  desk.link("");
  put(at("said"), "");
  at("view").replaceChildren();
  at("enter").hidden = key !== null;
  at("nav").hidden = at("leave").hidden = key === null;
  if (key === null) return at("key").focus();
  for (const node of document.querySelectorAll("[data-may]")) node.hidden = !desk.may(node.dataset.may);
  const first = "#/" + location.hash.split("/").slice(1, 2).join("");
  for (const link of at("nav").children) link.toggleAttribute("aria-current", link.getAttribute("href") === first);
  for (const [pattern, open] of VIEWS) {
    const found = pattern.exec(location.hash);
    if (!found) continue;
    const args = found.slice(1).map((part) => part && decodeURIComponent(part));
    close = open(at("view"), desk, ...args) ?? (() => {});
    return undefined;
  }
  return desk.go("#/");
}

function leave(words = "") {
  key = null;
  signIn("");
  put(at("who"), "");
  show();
  put(at("said"), words);
}

at("enter").onsubmit = async (event) => {
  event.preventDefault();
  signIn(at("key").value);
  try {
    key = await call("GET", "/v1/key");
    at("key").value = "";
    put(at("who"), `${key.name} · ${say("d_role_" + key.role)}`);
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
at("language").onclick = switchLanguage;
addEventListener("hashchange", show);
speak();
document.title = say("d_desk");
show();
