// Server-sent events, read from a response as they come.

import type { components } from "./contract.js";

/** One event of a stream. */
export type Told =
  | { event: "sale"; id?: string; data: components["schemas"]["SaleEvent"] }
  | { event: "order"; id?: string; data: components["schemas"]["OrderView"] }
  | { event: "waiting"; id?: string; data: components["schemas"]["WaitView"] };

/** Reads the events of one response until it ends or breaks. */
export class EventReader implements AsyncIterable<Told> {
  readonly #answer: Response;

  constructor(answer: Response) {
    this.#answer = answer;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Told> {
    const reader = this.#answer.body!.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    try {
      for (;;) {
        const { done, value } = await reader.read();
        if (done) return;
        const blocks = (rest + value).split(/\r?\n\r?\n/);
        rest = blocks.pop()!;
        for (const block of blocks) {
          const told = read(block);
          if (told) yield told;
        }
      }
    } finally {
      await reader.cancel().catch(() => {});
    }
  }
}

/** Reads one event; comments are none. */
function read(block: string): Told | undefined {
  const fields = new Map<string, string>();
  for (const line of block.split(/\r?\n/)) {
    const colon = line.indexOf(":");
    if (colon > 0) fields.set(line.slice(0, colon), line.slice(colon + 1).replace(/^ /, ""));
  }
  const [event, data, id] = ["event", "data", "id"].map((name) => fields.get(name));
  if (event === undefined || data === undefined) return undefined;
  return { event, data: JSON.parse(data), ...(id !== undefined && { id }) } as Told;
}
