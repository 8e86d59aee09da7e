// The server, as a page sees it: whose token it has, its clock, its calls, and one stream of events.

const WORD = "token";

/** Origins whose pages may hand over a token: those that may frame this page. */
const parents = () => (document.querySelector("meta[name=parents]")?.content ?? "").split(" ").filter(Boolean);

let token = "";
const listeners = new Set();

function keep(given) {
  token = given.trim();
  try { sessionStorage.setItem(WORD, token); } catch { /* It is gone with the page. */ }
  listeners.forEach((tell) => tell(token));
}

/** Takes a token from the address, where it does not stay, from the platform's page, or from this tab's last page. */
export function start(onToken) {
  listeners.add(onToken);
  const given = new URLSearchParams(location.hash.slice(1)).get(WORD);
  if (given) history.replaceState(null, "", location.pathname + location.search);
  addEventListener("message", ({ origin, data }) => {
    if (parents().includes(origin) && data?.type === "flashlane:token") keep(String(data.token));
  });
  if (parent !== window) for (const origin of parents()) parent.postMessage({ type: "flashlane:ready" }, origin);
  try { token = sessionStorage.getItem(WORD) ?? ""; } catch { token = ""; }
  if (given) keep(given); else onToken(token);
}

export const hasToken = () => token !== "";
export const enter = keep;

/** Tells the platform's page something. Returns whether there is one. */
export function tellParent(message) {
  const to = parent === window ? [] : parents();
  for (const origin of to) parent.postMessage(message, origin);
  return to.length > 0;
}

// Of this clock, the server's, in milliseconds, as the quickest answer tells: windows open by the server's.
let clock = { ahead: 0, took: Infinity };
export const now = () => Date.now() + clock.ahead;

function note(server, sent, came) {
  const took = came - sent;
  if (took <= clock.took) clock = { ahead: new Date(server) - (sent + came) / 2, took };
}
// A clock that is set while the page is open is measured anew.
setInterval(() => { clock.took += 50; }, 60_000);

/** A call that the server refused: its code and what it says besides. */
export class Refused extends Error {
  constructor(status, body, wait) {
    super(body.code ?? String(status));
    Object.assign(this, { status, code: body.code ?? "other", body, wait });
  }
}

const auth = () => (token ? { authorization: "Bearer " + token } : {});

/** Makes a call. Throws `Refused`, or another error if no answer came. */
export async function call(method, url, body, headers = {}) {
  const sent = Date.now();
  const kind = body === undefined ? {} : { "content-type": "application/json" };
  const answer = await fetch(url, { method, body: body && JSON.stringify(body), headers: { ...auth(), ...kind, ...headers } });
  const text = await answer.text();
  let json = {};
  try { json = text ? JSON.parse(text) : {}; } catch { /* A proxy's page. */ }
  if (json.server_time) note(json.server_time, sent, Date.now());
  if (!answer.ok) throw new Refused(answer.status, json, Number(answer.headers.get("retry-after")) || 1);
  return json;
}

const rest = (ms) => new Promise((done) => setTimeout(done, ms));

/** Events of a stream until `signal`: EventSource cannot send a token, a fetch that is read as it comes can. */
export async function follow(url, signal, { onEvent, onLink }) {
  let lastId = "";
  for (let pause = 500; !signal.aborted; pause = Math.min(pause * 2, 8000)) {
    try {
      const answer = await fetch(url, { headers: { ...auth(), ...(lastId && { "last-event-id": lastId }) }, signal });
      // Whoever may not, or asks for what is not there, asks in vain.
      if ([401, 404].includes(answer.status)) return onLink("refused", answer.status);
      if (!answer.ok) throw new Error(answer.statusText);
      onLink("live");
      const began = performance.now();
      let text = "";
      const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      for (let part = await reader.read(); !part.done; part = await reader.read()) {
        const events = (text + part.value).split("\n\n");
        text = events.pop();
        for (const event of events) {
          const fields = Object.fromEntries(event.split("\n").map((line) => line.split(/: ?(.*)/s)));
          if (fields.id) lastId = fields.id;
          if (fields.data) onEvent(fields.event, JSON.parse(fields.data));
        }
        // Only a stream that has stood for a while shortens the pause before the next try.
        if (performance.now() - began > 10_000) pause = 250;
      }
    } catch { /* Cut off: again, after a pause that grows. */ }
    if (signal.aborted) return;
    onLink("again");
    await rest(pause * (0.5 + Math.random()));
  }
}

/**
 * Makes a call that must be done once, until there is an answer: a server that is busy or away is asked again under
 * the same key. `onAgain` hears of each repetition.
 */
export async function insist(method, url, body, key, onAgain) {
  for (let pause = 400; ; pause = Math.min(pause * 1.7, 5000)) {
    try {
      return await call(method, url, body, { "idempotency-key": key });
    } catch (error) {
      const isRefused = error instanceof Refused;
      const isOver = isRefused && error.status < 500 && error.code !== "idempotency_in_flight";
      if (isOver) throw error;
      onAgain(isRefused ? error.code : "lost");
      await rest(isRefused && error.wait ? Math.max(pause, error.wait * 300) : pause);
    }
  }
}
