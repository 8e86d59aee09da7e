// The membership plan: what it says, what another one would have given, and a new version.

import { button, el, sureButton, table } from "./dom.js";
import { LONG_MS, call, now } from "./server.js";
import { say, time } from "./words.js";

export function openPlan(view, desk) {
  const text = el("textarea", { rows: 24, spellcheck: false, aria: { label: say("d_plan") } });
  const fault = el("p", { className: "bad", role: "status" });
  const days = el("input", { type: "number", min: 1, max: 395, value: 30, aria: { label: say("d_days") } });
  const told = el("div");
  const title = el("h1", {}, say("d_plan"));
  const thresholds = el("div");

  const read = async () => {
    const { version, at, plan } = await call("GET", "/v1/plan");
    title.textContent = version ? say("d_plan_version", { n: version, time: time(at, now()) }) : say("d_plan_inside");
    text.value = JSON.stringify(plan, null, 2);
    check();
  };
  /** The plan that is typed, or null. */
  const typed = () => { try { return JSON.parse(text.value); } catch { return null; } };
  function check() {
    const plan = typed();
    fault.textContent = plan ? "" : say("d_f_json");
    const tiers = plan?.tiers ?? {};
    const rows = Object.entries(tiers).filter(([, of]) => of && typeof of === "object");
    thresholds.replaceChildren(rows.length ? table([say("d_tier"), ...Object.keys(rows[0][1]).filter((name) => typeof rows[0][1][name] !== "object")],
      rows.map(([tier, of]) => [say(tier), ...Object.keys(rows[0][1]).filter((name) => typeof rows[0][1][name] !== "object").map((name) => of[name])])) : "");
  }
  text.oninput = check;

  const dry = button(say("d_dry_run"), async () => {
    const plan = typed();
    if (!plan) return;
    const result = await call("POST", "/v1/plan/dry-run", { plan, days: Number(days.value) }, {}, LONG_MS);
    told.replaceChildren(
      el("p", { className: "quiet" }, say("d_dry_since", { time: time(result.since, now()), n: result.members })),
      table([say("d_rule"), `${say("m_growth")}: ${say("d_given")}`, say("d_would"), `${say("m_points")}: ${say("d_given")}`, say("d_would")],
        result.rules.map(({ rule, given, would }) => [say("k_" + rule) === "k_" + rule ? rule : say("k_" + rule), given.growth, would.growth, given.points, would.points])),
      table([say("d_tier"), say("d_members"), say("d_would")], result.tiers.map((of) => [say(of.tier), of.members, of.would])),
    );
  }, desk.fail);
  const publish = sureButton(say("d_publish"), async () => {
    const plan = typed();
    if (!plan) return;
    await call("PUT", "/v1/plan", plan);
    desk.tell(say("m_done"));
    await read();
  }, desk.fail);
  dry.hidden = !desk.may("operator");
  publish.hidden = !desk.may("admin");
  view.append(el("section", { className: "card" }, title, thresholds, text, fault,
    el("p", { className: "line" }, el("label", { className: "field" }, say("d_days"), days), dry, publish), told));
  read().catch(desk.fail);
}
