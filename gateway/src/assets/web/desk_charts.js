// Charts over time by uPlot, each with its figures as a table under it, and bars by instant.

import { el, table } from "./dom.js";
import { say } from "./words.js";

/** Colours that stay apart for colour-blind eyes (Okabe and Ito), and on a dark ground. */
const COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"];
const HEIGHT = 220;
/** So many rows a table has at most: the newest. */
const ROWS = 60;
const MINUTE_S = 60;
const ink = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const clock = (s) => new Date(s * 1000).toLocaleTimeString(document.documentElement.lang);

/**
 * A chart of named series over time. `set(times, series, marks)` shows seconds, a list of values for each series, and
 * what happened when, as `[second, words]`.
 */
export function chart(title, names) {
  let marks = [];
  let shown = [[], ...names.map(() => [])];
  const plot = el("div", { className: "plot", aria: { hidden: "true" } });
  const figures = el("div");
  const details = el("details", {}, el("summary", {}, say("d_as_table")), figures);
  const section = el("section", { className: "card" }, el("h2", {}, title), plot, details);

  const draw = (u) => {
    const { ctx, bbox } = u;
    ctx.save();
    ctx.font = `${11 * devicePixelRatio}px system-ui, sans-serif`;
    ctx.fillStyle = ctx.strokeStyle = ink("--quiet");
    ctx.textAlign = "left";
    ctx.setLineDash([4 * devicePixelRatio, 4 * devicePixelRatio]);
    marks.forEach(([at, words], nth) => {
      const x = u.valToPos(at, "x", true);
      if (x < bbox.left || x > bbox.left + bbox.width) return;
      ctx.beginPath();
      ctx.moveTo(x, bbox.top);
      ctx.lineTo(x, bbox.top + bbox.height);
      ctx.stroke();
      const [gap, width] = [4 * devicePixelRatio, ctx.measureText(words).width];
      const isInside = x + gap + width < bbox.left + bbox.width;
      ctx.fillText(words, isInside ? x + gap : x - gap - width, bbox.top + (12 + 13 * (nth % 5)) * devicePixelRatio);
    });
    ctx.restore();
  };
  const axis = () => ({ stroke: () => ink("--quiet"), grid: { stroke: () => ink("--line"), width: 1 }, ticks: { stroke: () => ink("--line"), width: 1 } });
  const u = new uPlot({
    width: 600, height: HEIGHT, cursor: { y: false }, hooks: { draw: [draw] },
    scales: { y: { range: (_, low, high) => [Math.min(0, low ?? 0), Math.max(1, high ?? 1) * 1.08] } },
    axes: [axis(), { ...axis(), size: 64 }],
    series: [{ label: say("d_time") }, ...names.map((label, i) => ({ label, stroke: COLOURS[i % COLOURS.length], width: 2, points: { show: false } }))],
  }, shown, plot);

  const list = () => {
    if (!details.open) return;
    const rows = shown[0].map((s, i) => [clock(s), ...shown.slice(1).map((of) => of[i])]);
    const told = marks.slice(-20).map(([at, words]) => `${clock(at)} ${words}`).join(" · ");
    figures.replaceChildren(table([say("d_time"), ...names], rows.slice(-ROWS).reverse(), told || undefined));
  };
  details.ontoggle = list;
  const fit = new ResizeObserver(() => { if (plot.clientWidth) u.setSize({ width: plot.clientWidth, height: HEIGHT }); });
  fit.observe(plot);
  return {
    section,
    set(times, series, happened = []) {
      marks = happened;
      shown = [times, ...series];
      u.batch(() => {
        u.setData(shown, false);
        // A minute at least, which the newest second ends.
        const newest = times.at(-1) ?? 0;
        u.setScale("x", { min: Math.min(times[0] ?? newest, newest - MINUTE_S), max: newest });
      });
      list();
    },
    close() { fit.disconnect(); u.destroy(); },
  };
}

/** Bars, each a name and a number, as a list that a screen reader reads. The longest is as wide as there is room. */
export function bars(rows, className = "") {
  const most = Math.max(1, ...rows.map(([, n]) => n));
  return el("ul", { className: "bars " + className }, rows.map(([name, n, more]) => {
    const bar = el("span", { className: "length" });
    bar.style.width = (n / most) * 100 + "%";
    const value = n.toLocaleString(document.documentElement.lang);
    return el("li", {}, el("span", {}, name), el("span", { className: "track" }, bar), el("b", {}, value + (more ? ` · ${more}` : "")));
  }));
}
