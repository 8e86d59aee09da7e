// What an operator does with a sale: pause, resume, close, top up, rehearse, change, export, delete.

import { button, download, el, sureButton } from "./dom.js";
import { fetched, newKey, call } from "./server.js";
import { say } from "./words.js";

/** Asks for a number of units before `act` is called with it. */
function topUp(desk, act) {
  const units = el("input", { type: "number", min: 1, value: 10, aria: { label: say("d_units_to_add") } });
  // A second press under the same number is the same top-up until it was answered.
  let key = newKey();
  units.oninput = () => { key = newKey(); };
  const add = sureButton(say("d_top_up"), async () => {
    await act(Number(units.value), key);
    key = newKey();
  }, desk.fail);
  return el("span", { className: "field" }, units, add);
}

function rehearse(desk, id) {
  const members = el("input", { type: "number", min: 1, max: 100_000, value: 5000, aria: { label: say("d_members_invented") } });
  const start = sureButton(say("d_rehearse"), async () => {
    await call("POST", `/v1/sales/${encodeURIComponent(id)}/rehearse`, { members: Number(members.value) });
    desk.go("#/rehearsal/" + encodeURIComponent(id));
  }, desk.fail);
  return el("span", { className: "field" }, members, start);
}

/** The buttons, and `show`, which lets only those be seen that fit the sale as it is. */
export function actionsOf(desk, id, isRehearsal, read) {
  const path = "/v1/sales/" + encodeURIComponent(id);
  if (isRehearsal) {
    const end = button(say("d_rehearsal_end"), async () => { await call("DELETE", path + "/rehearsal"); desk.go("#/sale/" + encodeURIComponent(id)); }, desk.fail);
    end.hidden = !desk.may("operator");
    return { buttons: [end], show: () => {} };
  }
  const turn = (way) => async () => { await call("POST", `${path}/${way}`); await read(); };
  const made = {
    pause: button(say("d_pause"), turn("pause"), desk.fail),
    resume: button(say("d_resume"), turn("resume"), desk.fail),
    close: sureButton(say("d_close"), turn("close"), desk.fail),
    topUp: topUp(desk, async (add, key) => { await call("POST", path + "/stock", { add }, { "idempotency-key": key }); await read(); }),
    rehearse: rehearse(desk, id),
    change: el("a", { className: "small", href: "#/change/" + encodeURIComponent(id) }, say("d_change")),
    remove: sureButton(say("d_delete"), async () => { await call("DELETE", path); desk.go("#/"); }, desk.fail),
  };
  const exported = button(say("d_export"), async () => {
    const answer = await fetched(path + "/orders", { accept: "text/csv" });
    download(`${id}.csv`, await answer.blob());
  }, desk.fail);
  const running = el("a", { className: "small", href: "#/rehearsal/" + encodeURIComponent(id), hidden: true }, say("d_rehearsal_runs"));
  call("GET", path + "/rehearsal").then(() => { running.hidden = false; }, () => { /* There is none. */ });
  // Nothing is offered before it is known what fits.
  for (const action of Object.values(made)) action.hidden = true;
  const fits = (report) => {
    const isOver = report.archived || report.state === "closed";
    return {
      pause: !isOver && report.state !== "paused", resume: report.state === "paused", close: !isOver, topUp: !isOver,
      rehearse: !isOver, change: !isOver, remove: (report.archived || report.state === "scheduled") && desk.may("admin"),
    };
  };
  return {
    buttons: [...Object.values(made), exported, running],
    show(report) {
      for (const [name, is] of Object.entries(fits(report))) made[name].hidden = !is || !desk.may("operator");
    },
  };
}
