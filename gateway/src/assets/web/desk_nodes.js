// The nodes that share the store, and how many sales each of them sells. A process that is alone shows nothing.

import { el, renew, table } from "./dom.js";
import { call } from "./server.js";
import { say } from "./words.js";

function state({ is_reached: isReached, is_leaving: isLeaving, has_lease: hasLease }) {
  if (!hasLease) return el("span", { className: "bad" }, say("d_n_no_lease"));
  if (!isReached) return el("span", { className: "bad" }, say("d_n_unreached"));
  return isLeaving ? say("d_n_leaving") : say("d_n_well");
}

/** A place for the nodes, and what reads them anew. */
export function nodes() {
  const place = el("section", { className: "card", hidden: true });
  const list = el("div");
  place.append(el("h2", {}, say("d_nodes")), el("p", { className: "quiet" }, say("d_nodes_help")), list);
  return [place, async () => {
    const { nodes: living } = await call("GET", "/v1/nodes");
    place.hidden = living.length < 2;
    renew(list, table(
      [say("d_node"), say("d_state"), say("d_sells"), say("d_address"), say("d_version")],
      living.map((node) => [
        el("span", {}, el("b", {}, node.node), node.is_here ? ` ${say("d_n_here")}` : ""), state(node), node.sales ?? "–", node.address ?? "–", node.version ?? "–",
      ]), say("d_nodes"),
    ));
  }];
}
