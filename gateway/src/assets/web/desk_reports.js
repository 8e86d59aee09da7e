// Reports on the members' book: what is owed, whether it adds up, what benefits are used.

import { bars } from "./desk_charts.js";
import { button, download, el, fact, table } from "./dom.js";
import { LONG_MS, call, fetched, now } from "./server.js";
import { say, time } from "./words.js";

const n = (value) => value.toLocaleString(document.documentElement.lang);
const when = (at) => time(at, now());

const REPORTS = [
  ["liability", true, (of) => [
    el("div", { className: "facts" }, fact(say("d_members"), n(of.members)), fact(say("m_points"), n(of.points)), fact(say("d_worth"), n(of.cents)),
      fact(say("d_pending"), n(of.pending)), fact(say("d_deficit"), n(of.deficit))),
    bars(of.expiring.map(({ at, points }) => [when(at), points])),
  ]],
  ["consistency", false, (of) => [
    el("div", { className: "facts" }, fact(say("d_members"), n(of.members)), fact(say("d_postings"), n(of.postings)), fact(say("d_behind"), n(of.behind)),
      fact(say("d_differences"), n(of.differences.length), { className: of.differences.length ? "bad" : "" })),
    el("ul", {}, of.differences.map((words) => el("li", { className: "bad" }, words))),
  ]],
  ["benefits", true, (of) => [table([say("d_benefit"), say("d_from"), say("d_granted"), say("d_seen"), say("d_used"), say("d_uses"), say("d_usage")],
    of.benefits.map((b) => [b.benefit, b.from ? say(b.from) : "–", b.granted, b.seen, b.used, b.uses, `${Math.round(b.usage * 100)} %`]))]],
];

export function openReports(view, desk) {
  view.append(el("h1", {}, say("d_reports")), ...REPORTS.map(([name, hasCsv, show]) => {
    const told = el("div", { className: "centre" });
    const path = "/v1/reports/" + name;
    const read = button(say("d_read"), async () => told.replaceChildren(...show(await call("GET", path, undefined, {}, LONG_MS))), desk.fail);
    const csv = button("CSV", async () => download(`${name}.csv`, await (await fetched(path, { accept: "text/csv" })).blob()), desk.fail);
    return el("section", { className: "card" }, el("h2", {}, say("d_report_" + name)), el("p", { className: "quiet" }, say("d_report_" + name + "_help")),
      el("p", { className: "line" }, read, hasCsv && csv), told);
  }));
}
