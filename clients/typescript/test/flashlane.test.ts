// Against a real server: its address and three members' tokens come from the environment. Between the
// client and the server stands a proxy that loses answers and cuts streams.

import assert from "node:assert/strict";
import http from "node:http";
import type { AddressInfo } from "node:net";
import { after, before, test } from "node:test";
import { Flashlane, newKey, Refused, type Told } from "../src/index.js";

const server = new URL(process.env["FLASHLANE"]!);
const tokens = process.env["TOKENS"]!.split(" ");

/** What the proxy does to the next requests, first one first. */
let spoils: ("lose-answer" | "busy" | "cut-stream")[] = [];
const proxy = http.createServer((request, response) => {
  const spoil = spoils.shift();
  if (spoil === "busy") {
    response.writeHead(503, { "retry-after": "0" }).end("upstream is away");
    return;
  }
  const { method, headers, url: path } = request;
  const passedOn = http.request({ host: server.hostname, port: server.port, method, path, headers }, (answer) => {
    if (spoil === "lose-answer") {
      answer.resume().on("end", () => request.socket.destroy());
      return;
    }
    response.writeHead(answer.statusCode!, answer.headers);
    answer.on("data", (piece: Buffer) => {
      response.write(piece);
      if (spoil === "cut-stream" && piece.includes("event: order")) {
        setImmediate(() => request.socket.destroy());
        answer.destroy();
      }
    });
    answer.on("end", () => response.end());
    response.on("close", () => answer.destroy());
  });
  passedOn.on("error", () => request.socket.destroy());
  request.pipe(passedOn);
});

before(() => new Promise<void>((resolve) => proxy.listen(0, "127.0.0.1", resolve)));
after(() => (proxy.closeAllConnections(), proxy.close()));

function member(nth: number): Flashlane {
  const { port } = proxy.address() as AddressInfo;
  return new Flashlane({ baseUrl: `http://127.0.0.1:${port}`, token: () => tokens[nth]! });
}

test("a click whose answer is lost buys once", async () => {
  const ann = member(0);
  spoils = ["lose-answer", "busy"];
  const order = await ann.buy("drop", 1, { waitS: 10 });
  assert.equal(order.status, "confirmed");
  assert.equal(spoils.length, 0, "it was sent three times");
  const all: string[] = [];
  for await (const other of ann.orders("drop")) all.push(other.order_id);
  assert.deepEqual(all, [order.order_id]);
  const key = newKey();
  const [first, again] = [await ann.buy("drop", 1, { key }), await ann.buy("drop", 1, { key })];
  assert.equal(first.order_id, again.order_id);
  assert.equal((await ann.cancel(first.order_id)).status, "cancelled");
});

test("a refusal has its reason and is not sent again", async () => {
  const ann = member(0);
  const refused = await ann.buy("gone", 1).catch((error: unknown) => error);
  assert.ok(refused instanceof Refused && !refused.isTransient);
  assert.equal(refused.problem.code, "sold_out");
  assert.equal((await ann.join("gone", 1)).position, 1);
  await ann.leave("gone");
  const sale = await ann.sale("drop");
  assert.equal(sale.you?.tier, "gold");
  assert.ok((await ann.sales()).sales.some(({ id }) => id === "gone"));
});

test("patience ends", async () => {
  const { port } = proxy.address() as AddressInfo;
  const baseUrl = `http://127.0.0.1:${port}`;
  const hasty = new Flashlane({ baseUrl, token: () => tokens[0]!, patienceMs: 0 });
  spoils = ["busy"];
  await assert.rejects(hasty.sale("drop"), (error) => error instanceof Refused && error.problem.status === 503);
});

test("events go on where they broke off, and end when they are told to", async () => {
  const bob = member(1);
  const stop = new AbortController();
  const orders: string[] = [];
  spoils = ["cut-stream"];
  const following = (async () => {
    for await (const told of bob.events("drop", stop.signal)) {
      const { event, data }: Told = told;
      if (event === "order" && data.status === "confirmed") orders.push(data.order_id);
      if (orders.length === 3) stop.abort();
    }
  })();
  const bought: string[] = [];
  for (let nth = 0; nth < 3; nth++) {
    const order = await bob.buy("drop", 1, { waitS: 10 });
    bought.push(order.order_id);
  }
  await following;
  assert.deepEqual(orders, bought, "each order was told, and once");
});

test("events that nobody may have are refused", async () => {
  const { port } = proxy.address() as AddressInfo;
  const nobody = new Flashlane({ baseUrl: `http://127.0.0.1:${port}`, token: () => "none" });
  const first = nobody.events("drop").next();
  await assert.rejects(first, (error) => error instanceof Refused && error.problem.code === "unauthenticated");
});
