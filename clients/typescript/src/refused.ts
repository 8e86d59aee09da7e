// Why a call was not done, and how long to wait before it is tried again.

import type { components } from "./contract.js";

type Problem = components["schemas"]["Problem"];

const PAUSE_FIRST_MS = 50;
const PAUSE_MOST_MS = 5_000;

/** The server said no. `problem.code` is the stable word to switch on. */
export class Refused extends Error {
  readonly problem: Problem;
  /** How long the server asks to wait, in milliseconds. */
  readonly retryAfterMs: number | undefined;

  constructor(problem: Problem, retryAfterMs?: number) {
    super(problem.detail);
    this.name = "Refused";
    this.problem = problem;
    this.retryAfterMs = retryAfterMs;
  }

  /** Whether the same call may be accepted a moment later. */
  get isTransient(): boolean {
    const { status, code } = this.problem;
    return status >= 500 || status === 429 || status === 408 || code === "idempotency_in_flight";
  }

  /** Reads an answer that is no success, also one of a proxy that is no problem document. */
  static async of(answer: Response): Promise<Refused> {
    const seconds = Number(answer.headers.get("retry-after") ?? NaN);
    const text = await answer.text();
    let problem: Problem;
    try {
      problem = JSON.parse(text) as Problem;
    } catch {
      const { status, statusText: title } = answer;
      problem = { type: "about:blank", title, status, detail: `${status} ${title}`, code: "internal", errors: [] };
    }
    return new Refused(problem, Number.isNaN(seconds) ? undefined : seconds * 1_000);
  }
}

/** Waits as long as the server asks for, or longer with each failure; half of it at random. */
export async function pause(askedMs: number | undefined, failures: number, signal?: AbortSignal): Promise<void> {
  const doubled = Math.min(PAUSE_FIRST_MS * 2 ** failures, PAUSE_MOST_MS);
  const ms = (askedMs ?? doubled) * (askedMs === undefined ? 0.5 + Math.random() / 2 : 1);
  await new Promise<void>((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal?.addEventListener("abort", () => (clearTimeout(timer), resolve()), { once: true });
  });
}
