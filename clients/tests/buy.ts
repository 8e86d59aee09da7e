// Buys, waits, cancels and lists with a client that is generated from the document.
// Arguments: the public listener's address, and a member's token.
import createClient from "openapi-fetch";
import type { components, paths } from "./public.js";

const [baseUrl, token] = process.argv.slice(2);
const client = createClient<paths>({ baseUrl, headers: { authorization: `Bearer ${token}` } });

function expect(holds: boolean, what: string, about: unknown): asserts holds {
  if (!holds) throw new Error(`${what}: ${JSON.stringify(about)}`);
}

const sale = { path: { sale: "drop" } };
const header = { "Idempotency-Key": "a-click-in-typescript", Prefer: "wait=10" };
const click = () =>
  client.POST("/v1/sales/{sale}/orders", { params: { ...sale, header }, body: { units: 1 } });
const bought = await click();
expect(bought.response.status === 201, "bought and on disk", bought.error);
const order: components["schemas"]["OrderView"] = bought.data!;
expect(order.status === "confirmed" && order.due_cents === order.price_cents, "the order", order);
const again = await click();
expect(again.data?.order_id === order.order_id, "the same key is the same order", again);

const gone = { path: { sale: "gone" } };
const refused = await client.POST("/v1/sales/{sale}/orders", { params: gone, body: { units: 1 } });
expect(refused.error?.code === "sold_out", "refused", refused);
const joined = await client.POST("/v1/sales/{sale}/waitlist", { params: gone, body: { units: 1 } });
expect(joined.data?.position === 1, "waits", joined);
const left = await client.DELETE("/v1/sales/{sale}/waitlist", { params: gone });
expect(left.response.status === 204, "left", left.error);

const path = { order: order.order_id };
const cancelled = await client.POST("/v1/orders/{order}/cancel", { params: { path } });
expect(cancelled.data?.status === "cancelled", "cancelled", cancelled);
const listed = await client.GET("/v1/orders", { params: { query: { sale: "drop" } } });
const found = listed.data?.orders.find((other) => other.order_id === order.order_id);
expect(found?.status === "cancelled", "listed", listed);
console.log(`TypeScript: bought, waited, cancelled and listed ${order.order_id}`);
