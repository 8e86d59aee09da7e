// The server, as a page sees it: whose token it has, its clock, its calls, and one stream of events.

const WORD = "token";

/** Origins whose pages may hand over a token: those that may frame this page. */
const parents = () => (document.querySelector("meta[name=parents]")?.content ?? "").split(" ").filter(Boolean);

let token = "";
let onToken = () => {};

function keep(given) {
  token = given.trim();
  try { sessionStorage.setItem(WORD, token); } catch { /* It is gone with the page. */ }
  onToken();
}

/** The token in the address, where it does not stay. */
function fromAddress() {
  const given = new URLSearchParams(location.hash.slice(1)).get(WORD);
  if (given) history.replaceState(null, "", location.pathname + location.search);
  return given;
}

const askForToken = () => tellParent({ type: "flashlane:ready" });

/** Takes a token from the address, from the platform's page, or from this tab's last page; `then` hears of each. */
export function start(then) {
  onToken = then;
  addEventListener("hashchange", () => {
    const given = fromAddress();
    if (given) keep(given);
  });
  addEventListener("message", ({ origin, data }) => {
    if (parents().includes(origin) && data?.type === "flashlane:token") keep(String(data.token));
  });
  try { token = sessionStorage.getItem(WORD) ?? ""; } catch { token = ""; }
  const given = fromAddress();
  askForToken();
  if (given) keep(given); else onToken();
}

export const hasToken = () => token !== "";

/** Signs in with a key that stays in memory: an operator's. */
export function signIn(key) { token = key.trim(); }
export const enter = keep;

/** A token that the server does not take is none; the platform's page may have a newer one. */
export function forgetToken() {
  keep("");
  askForToken();
}

/** What the token says; empty for what is no token. For what is shown only: the server decides. */
function claims() {
  try { return JSON.parse(atob(token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/"))) ?? {}; } catch { return {}; }
}

/** The tier that the token says, if it says one. */
export const tierSaid = () => claims().tier;

/** Whose token it is, to tell one member from another: a renewed token is the same member's. */
export function whose() {
  return String(claims().sub ?? token);
}

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
  if (took >= 0 && took <= clock.took) clock = { ahead: new Date(server) - (sent + came) / 2, took };
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

/** A call is given up after so long, a stream after so long without a word: a comment comes every 15 s. */
const PATIENCE_MS = 15_000;
const SILENCE_MS = 40_000;
/** So long a call may take that reads everything there is. */
export const LONG_MS = 300_000;

const auth = () => (token ? { authorization: "Bearer " + token } : {});

/** Makes a call. Throws `Refused`, or another error if no answer came. */
export async function call(method, url, body, headers = {}, patience = PATIENCE_MS) {
  const sent = Date.now();
  const kind = body === undefined ? {} : { "content-type": "application/json" };
  const answer = await fetch(url, { method, body: body && JSON.stringify(body), headers: { ...auth(), ...kind, ...headers }, signal: AbortSignal.timeout(patience) });
  const text = await answer.text();
  let json = {};
  try { json = text ? JSON.parse(text) : {}; } catch { /* A proxy's page. */ }
  const server = json.server_time ?? json.sales?.[0]?.server_time;
  if (server) note(server, sent, Date.now());
  if (!answer.ok) throw new Refused(answer.status, json, Number(answer.headers.get("retry-after")) || 1);
  return json;
}

/** A file that the server makes: its whole answer. Throws `Refused` as `call` does. */
export async function fetched(url, headers = {}) {
  const answer = await fetch(url, { headers: { ...auth(), ...headers } });
  if (answer.ok) return answer;
  throw new Refused(answer.status, await answer.json().catch(() => ({})), 1);
}

const rest = (ms) => new Promise((done) => setTimeout(done, ms));

/** Events of a stream until `signal`: EventSource cannot send a token, a fetch that is read as it comes can. */
export async function follow(url, signal, { onEvent, onLink }) {
  let lastId = "";
  for (let pause = 500; !signal.aborted; pause = Math.min(pause * 2, 8000)) {
    try {
      const answer = await fetch(url, { headers: { ...auth(), ...(lastId && { "last-event-id": lastId }) }, signal });
      // Whoever may not, or asks for what is not there or is over, asks in vain.
      if ([401, 404, 410].includes(answer.status)) return onLink("refused", answer.status);
      if (!answer.ok) throw new Error(answer.statusText);
      onLink("live");
      const began = performance.now();
      let text = "";
      const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      const read = () => Promise.race([reader.read(), rest(SILENCE_MS).then(() => { throw new Error("silence"); })]);
      for (let part = await read(); !part.done; part = await read()) {
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

/** Nobody knows what became of a call: it is to be made again under its key. */
export class Unanswered extends Error {}

/** How long a call is repeated. */
const INSIST_MS = 60_000;

/**
 * Makes a call that must be done once: a server that is busy or away is asked again under the same key, as long as the
 * token is the same member's. `onAgain` hears of each repetition. Throws `Refused` if nothing was done, and
 * `Unanswered` if that is not known.
 */
export async function insist(method, url, body, key, onAgain) {
  const [member, began] = [whose(), Date.now()];
  let mayBeDone = false;
  for (let pause = 400; ; pause = Math.min(pause * 1.7, 5000)) {
    try {
      return await call(method, url, body, { "idempotency-key": key });
    } catch (error) {
      const isRefused = error instanceof Refused;
      const { status, code } = error;
      // Those are decided before the key is looked at: they say nothing of an earlier try.
      const isBeforeTheKey = [401, 408, 429].includes(status);
      if (isRefused && status === 401 && mayBeDone) throw new Unanswered();
      if (isRefused && status < 500 && code !== "idempotency_in_flight" && !(isBeforeTheKey && mayBeDone)) throw error;
      // A refusal as `busy` has done nothing; any other may have been done.
      mayBeDone ||= !isRefused || (code !== "busy" && !isBeforeTheKey);
      if (Date.now() - began > INSIST_MS) throw mayBeDone ? new Unanswered() : error;
      onAgain(isRefused ? code : "lost");
      await rest(isRefused ? Math.max(pause, error.wait * 300) : pause);
      if (whose() !== member) throw new Unanswered();
    }
  }
}

/** A key for a call that must be done once. */
export const newKey = () => crypto.randomUUID?.() ?? Array.from(crypto.getRandomValues(new Uint32Array(4)), (n) => n.toString(16)).join("-");
