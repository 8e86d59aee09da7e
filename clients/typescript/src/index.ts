// Flashlane for pages and servers in TypeScript: typed calls, retries that never buy twice, and events
// that resume. It needs `fetch`, so it runs in browsers and in Node from 18 on.

import type { components } from "./contract.js";
import { EventReader, type Told } from "./events.js";
import { pause, Refused } from "./refused.js";

export { Refused } from "./refused.js";
export type { Told } from "./events.js";

export type Order = components["schemas"]["OrderView"];
export type Sale = components["schemas"]["SaleView"];
export type Problem = components["schemas"]["Problem"];
export type Waiting = components["schemas"]["WaitView"];

/** As many orders as a member usually may make in a sale. */
const ORDERS_MAX = 1_000;

export interface Options {
  /** The public listener, as `https://drops.example`. */
  baseUrl: string;
  /** The member's token. It is asked for at each call, so a new one takes over when the old one is over. */
  token: () => string | Promise<string>;
  /** How long a call is tried again while the server is busy or out of reach. Usually 30 s. */
  patienceMs?: number;
  fetch?: typeof fetch;
}

export interface BuyOptions {
  /** Stands for this click and what it pays with: sent again, it buys once. */
  key?: string;
  /** How long the answer may wait for the order to be on disk, 1 to 10 s. */
  waitS?: number;
  /** Points to pay a part with. */
  points?: number;
  /** A coupon of the member's, by its id. */
  coupon?: string;
}

/** One member at one server. */
export class Flashlane {
  readonly #options: Options;

  constructor(options: Options) {
    this.#options = options;
  }

  /**
   * Buys units. Without an answer the click is sent again with the same key, so it never buys twice. With
   * `waitS`, from 1 to 10, the answer comes when the order is on disk. `points` and a `coupon` pay a part.
   * Throws `Refused` with the reason.
   */
  async buy(
    sale: string,
    units: number,
    { key = newKey(), waitS, points, coupon }: BuyOptions = {},
  ): Promise<Order> {
    const headers: Record<string, string> = { "idempotency-key": key };
    if (waitS !== undefined) headers["prefer"] = `wait=${waitS}`;
    const body = { units, ...(points && { points }), ...(coupon && { coupon }) };
    return this.#call("POST", `/v1/sales/${encodeURIComponent(sale)}/orders`, body, headers);
  }

  /** A page of the sales, by id. */
  async sales(after = ""): Promise<{ sales: Sale[]; next?: string | null }> {
    return this.#call("GET", `/v1/sales?after=${encodeURIComponent(after)}`);
  }

  /** A sale, and what it is for this member. */
  async sale(id: string): Promise<Sale> {
    return this.#call("GET", `/v1/sales/${encodeURIComponent(id)}`);
  }

  /** One of the member's own orders. */
  async order(id: string): Promise<Order> {
    return this.#call("GET", `/v1/orders/${encodeURIComponent(id)}`);
  }

  /** The member's own orders in a sale, newest first. */
  async *orders(sale: string): AsyncGenerator<Order> {
    const path = `/v1/orders?sale=${encodeURIComponent(sale)}`;
    let after: number | null | undefined;
    do {
      const more = after == null ? "" : `&after=${after}`;
      const page: components["schemas"]["OrdersView"] = await this.#call("GET", path + more);
      yield* page.orders;
      after = page.next;
    } while (after != null);
  }

  /** Takes an unpaid order back. */
  async cancel(order: string): Promise<Order> {
    return this.#call("POST", `/v1/orders/${encodeURIComponent(order)}/cancel`);
  }

  /** Waits for units of a sale that is sold out. */
  async join(sale: string, units: number): Promise<Waiting> {
    return this.#call("POST", `/v1/sales/${encodeURIComponent(sale)}/waitlist`, { units });
  }

  /** Waits no more. */
  async leave(sale: string): Promise<void> {
    await this.#call("DELETE", `/v1/sales/${encodeURIComponent(sale)}/waitlist`);
  }

  /**
   * What happens in a sale and with the member's own orders in it, from now on and without an end. When
   * the connection breaks it is opened again, and goes on behind the last order that was told. Ends when
   * `signal` says so; throws `Refused` when the server will not have it.
   */
  async *events(sale: string, signal?: AbortSignal): AsyncGenerator<Told> {
    const url = `${this.#options.baseUrl}/v1/sales/${encodeURIComponent(sale)}/events`;
    const steps = new Steps();
    let lastId: string | undefined;
    let failures = 0;
    while (!signal?.aborted) {
      try {
        const headers = { ...(await this.#authorization()), ...(lastId && { "last-event-id": lastId }) };
        const answer = await this.#fetch(url, { headers, ...(signal && { signal }) });
        if (!answer.ok) throw await Refused.of(answer);
        for await (const told of new EventReader(answer)) {
          failures = 0;
          lastId = told.id ?? lastId;
          // After a break the server tells the newest steps once more, so that none is missed.
          if (told.event !== "order" || steps.isNews(told.data)) yield told;
        }
      } catch (error) {
        if (signal?.aborted) return;
        if (error instanceof Refused && !error.isTransient) throw error;
        await pause(error instanceof Refused ? error.retryAfterMs : undefined, failures++, signal);
      }
    }
  }

  async #call<T>(method: string, path: string, body?: object, more: Record<string, string> = {}): Promise<T> {
    const until = Date.now() + (this.#options.patienceMs ?? 30_000);
    for (let failures = 0; ; failures++) {
      try {
        const headers = { ...(await this.#authorization()), ...more };
        if (body) headers["content-type"] = "application/json";
        const json = body && JSON.stringify(body);
        const answer = await this.#fetch(this.#options.baseUrl + path, { method, headers, ...(json && { body: json }) });
        if (!answer.ok) throw await Refused.of(answer);
        return answer.status === 204 ? (undefined as T) : ((await answer.json()) as T);
      } catch (error) {
        // Every call may be sent again: a click has its key, and the others change nothing twice.
        const isFinal = error instanceof Refused && !error.isTransient;
        if (isFinal || Date.now() >= until) throw error;
        await pause(error instanceof Refused ? error.retryAfterMs : undefined, failures);
      }
    }
  }

  async #authorization(): Promise<Record<string, string>> {
    return { authorization: `Bearer ${await this.#options.token()}` };
  }

  #fetch(url: string, init: RequestInit): Promise<Response> {
    return (this.#options.fetch ?? fetch)(url, init);
  }
}

/** The newest step that was told of each order. */
class Steps {
  readonly #told = new Map<string, string>();

  isNews({ order_id, status, changed_at, refunded_cents }: Order): boolean {
    const step = `${status} ${changed_at} ${refunded_cents}`;
    if (this.#told.get(order_id) === step) return false;
    this.#told.delete(order_id);
    this.#told.set(order_id, step);
    const [oldest] = this.#told.keys();
    if (this.#told.size > ORDERS_MAX) this.#told.delete(oldest!);
    return true;
  }
}

/** A key that no other click has. Keep it and give it to `buy` to send the same click again. */
export function newKey(): string {
  const crypto = globalThis.crypto;
  if (crypto?.randomUUID) return crypto.randomUUID();
  return Array.from({ length: 4 }, () => Math.random().toString(36).slice(2)).join("");
}
