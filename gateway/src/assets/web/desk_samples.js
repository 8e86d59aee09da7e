// What the desk has seen of a sale, second by second, and what follows from it. No element is touched here.

/** So many seconds are kept: an hour. */
const KEPT = 3600;
const MOMENT_S = 0.5;
/** A projection looks back so many seconds. */
const LOOK_BACK = 15;
/** Under so many times its usual nothing is called bad. */
const BAD = 2;

/**
 * The time within which this part of what lies between two readings of a cumulative histogram came, in ms: the bound of the
 * bucket. Null if nothing came, or no histogram was read yet.
 */
function percentile(part, after, before) {
  if (!after || !before) return null;
  const counts = after.buckets.map(({ within_ms: ms, count }, i) => [ms, count - (before.buckets[i]?.count ?? 0)]);
  const all = after.count - before.count;
  if (all <= 0) return null;
  return (counts.find(([, count]) => count >= part * all) ?? counts.at(-1))[0];
}

const BUCKET = /^flashlane_http_request_seconds_bucket\{listener="public",route="\/v1\/sales\/\{sale\}\/orders",method="POST",[^}]*le="([^"]+)"\} (\d+)/gm;

/** How long answers to clicks took, of all sales: the histogram in the text of the metrics. */
export function answerTimes(metrics) {
  const counts = new Map();
  for (const [, bound, n] of metrics.matchAll(BUCKET)) counts.set(bound, (counts.get(bound) ?? 0) + Number(n));
  const count = counts.get("+Inf") ?? 0;
  counts.delete("+Inf");
  return { count, buckets: [...counts].map(([bound, n]) => ({ within_ms: Number(bound) * 1000, count: n })).sort((a, b) => a.within_ms - b.within_ms) };
}

export class Samples {
  #all = [];

  /** Takes in a report, and how long answers took if that was read as well. Returns whether it is news. */
  take(report, answer) {
    const at = new Date(report.server_time) / 1000;
    const last = this.#all.at(-1);
    if (last && at < last.at) return false;
    // Two looks within a moment are one: what came between them says nothing of a second.
    if (last && at - last.at < MOMENT_S) this.#all.pop();
    const { left, queued, flow, confirm_times: confirm } = report;
    this.#all.push({ at, left, queued, ...flow, confirm, answer });
    if (this.#all.length > KEPT) this.#all.shift();
    return true;
  }

  get times() { return this.#all.map(({ at }) => at); }

  of(name) { return this.#all.map((sample) => sample[name]); }

  /** How much more there is each second. The first second has none. */
  rate(name) {
    return this.#all.map((sample, i) => {
      const before = this.#all[i - 1];
      return before ? Math.max(0, Math.round((sample[name] - before[name]) / (sample.at - before.at))) : null;
    });
  }

  /** The last `seconds`, oldest first. */
  lately(seconds) {
    const since = (this.#all.at(-1)?.at ?? 0) - seconds;
    return this.#all.filter(({ at }) => at >= since);
  }

  /** Figures of the last seconds beside what is usual: the median of all that was seen. */
  health() {
    const figure = (name, unit, of) => {
      const values = this.#all.map(of).filter((value) => value !== null && value !== undefined);
      const recent = values.slice(-3);
      const middle = (list) => (list.length ? [...list].sort((a, b) => a - b)[Math.floor(list.length / 2)] : null);
      return { name, unit, value: middle(recent), usual: middle(values) };
    };
    const between = (field, part) => {
      let before = null;
      return (sample) => {
        if (!sample[field]) return null;
        const found = percentile(part, sample[field], before);
        before = sample[field];
        return found;
      };
    };
    return [
      figure("d_queue", "", ({ queued }) => queued),
      figure("d_lag", "ms", between("confirm", 0.5)), figure("d_lag99", "ms", between("confirm", 0.99)),
      figure("d_answer", "ms", between("answer", 0.5)), figure("d_answer99", "ms", between("answer", 0.99)),
    ];
  }
}

/** Seconds until nothing is left if it goes on like this; null if it does not. */
export function projected(samples) {
  const lately = samples.lately(LOOK_BACK);
  const [first, last] = [lately[0], lately.at(-1)];
  if (!first || first === last || last.left === 0 || first.left <= last.left) return null;
  return (last.left * (last.at - first.at)) / (first.left - last.left);
}

/** The figure that is worst beside its usual, if one is bad. */
export function worst(figures) {
  const times = ({ value, usual }) => (value === null || usual === null ? 0 : value / Math.max(usual, 1));
  const found = figures.reduce((a, b) => (times(b) > times(a) ? b : a));
  return times(found) >= BAD ? found.name : null;
}
