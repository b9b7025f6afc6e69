// The trend of scores: a chart from a minute to a year, which asks the server for as much as it can show.
import { api } from "./api.js";
import { fill, h, recoloured, say, sized } from "./dom.js";
import { duration, figure, time, when } from "./format.js";
import { on } from "./live.js";
import { choice } from "./parts.js";
import { covered } from "./sparkline.js";
import { T } from "./texts.js";
import { thinned } from "./thinned.js";
import { drawn } from "./trend_drawing.js";
import { handled, SPANS, within } from "./trend_input.js";

const POINTS = 1000;
const AHEAD = 0.02; // share of the range that stays empty at the right while following

/** The chart of a machine; `at` a second that it shows at first; `select` gets the span that was
 * selected, or null, and whether by a key. */
export async function trend(machine, { at, select, signal }) {
  const now = () => machine.last_window ?? machine.clock ?? Date.now() / 1000;
  const state = {
    machine,
    start: 0,
    end: 0,
    follow: !at,
    mode: "zoom",
    selected: null,
    scores: null,
    incidents: [],
    notes: [],
  };
  const field = h("div", { class: "trend-field" });
  const readout = h("p", { class: "readout" });
  const summary = h("p", { class: "hint trend-summary", id: "trend-summary" });
  const chart = h(
    "div",
    {
      class: "trend-chart",
      tabindex: 0,
      role: "group",
      "aria-roledescription": T.trend.chart,
      "aria-label": T.trend.label,
      "aria-describedby": "trend-summary trend-keys",
    },
    field,
  );
  const table = h("details", { class: "more" }, h("summary", {}, T.trend.table));
  const view = drawn(field, state, (index) => fill(readout, reading(state, index)));
  let asked = new AbortController(),
    timer = 0,
    loaded = 0;

  const load = async () => {
    asked.abort();
    asked = new AbortController();
    const range = { start: state.start, end: state.end };
    try {
      const [scores, found] = await Promise.all([
        api.scores(
          machine.name,
          { ...range, points: Math.min(POINTS, Math.max(200, field.clientWidth)) },
          asked.signal,
        ),
        api.incidents({ machine: machine.name, ...range, limit: 200 }, asked.signal),
      ]);
      [state.scores, state.incidents, state.total] = [
        thinned(scores, field.clientWidth || POINTS),
        found.incidents,
        found.total,
      ];
      loaded = Date.now();
      chart.classList.remove("failed");
    } catch (error) {
      if (error.name === "AbortError" || signal.aborted) return;
      chart.classList.add("failed");
      return say(readout, error.message);
    }
    view.data();
    say(summary, summed(state));
    if (table.open) fill(table, h("summary", {}, T.trend.table), tableOf(state));
  };
  const show = (start, end, { follow = false, soon = true } = {}) => {
    [state.start, state.end, state.follow] = [start, end, follow];
    spans.mark(SPANS.find(([, seconds]) => Math.abs(end - start - seconds) < seconds * 0.001)?.[0]);
    live.setAttribute("aria-pressed", String(follow));
    view.range();
    clearTimeout(timer);
    timer = setTimeout(load, soon ? 160 : 0);
  };
  const zoom = (span, middle = (state.start + state.end) / 2, { anchored = false } = {}) => {
    const kept = within(span);
    if (state.follow && !anchored) latest(kept);
    else
      show(
        middle - kept * ((middle - state.start) / (state.end - state.start)),
        middle + kept * ((state.end - middle) / (state.end - state.start)),
      );
  };
  const latest = (span = state.end - state.start) =>
    show(now() - span * (1 - AHEAD), now() + span * AHEAD, { follow: true });
  const pick = (span, { byKey = false } = {}) => {
    state.selected = span;
    view.redraw();
    select(span, byKey);
  };
  const spans = choice(
    T.trend.spans,
    SPANS.map(([key]) => [key, T.trend.span[key], T.trend.spanTip[key]]),
    "1d",
    (key) => zoom(SPANS.find(([one]) => one === key)[1]),
    { small: true },
  );
  const modes = choice(
    T.trend.drag,
    [
      ["zoom", T.trend.modes.zoom, T.trend.zoomTip],
      ["mark", T.trend.modes.mark, T.trend.markTip],
    ],
    "zoom",
    (mode) => {
      state.mode = mode;
      chart.dataset.mode = mode;
    },
    { small: true },
  );
  const live = h(
    "button",
    { type: "button", class: "toggle", title: T.trend.liveTip, on: { click: () => latest() } },
    T.trend.live,
  );
  const step = (label, text, turn) =>
    h("button", { type: "button", class: "toggle", "aria-label": label, title: label, on: { click: turn } }, text);
  const pan = (share) => {
    const by = (state.end - state.start) * share;
    show(state.start + by, state.end + by);
  };
  const moves = h(
    "div",
    { class: "choice small", role: "group", "aria-label": T.trend.moves },
    step(T.trend.back, "←", () => pan(-0.5)),
    step(T.trend.forth, "→", () => pan(0.5)),
    step(T.trend.out, "−", () => zoom((state.end - state.start) * 2)),
    step(T.trend.in, "+", () => zoom((state.end - state.start) / 2)),
  );
  handled(chart, view, state, { show, zoom, pan, latest, pick });
  table.addEventListener("toggle", () => table.open && fill(table, h("summary", {}, T.trend.table), tableOf(state)));
  sized(field, view.resize, signal);
  recoloured(view.rebuild, signal);
  signal.addEventListener("abort", () => {
    asked.abort();
    clearTimeout(timer);
    view.end();
  });
  on(
    "window",
    ({ machine: name, time: heard }) => {
      if (name !== machine.name) return;
      machine.last_window = heard;
      const span = state.end - state.start,
        behind = heard + span * AHEAD - state.end;
      if (state.follow && Date.now() - loaded > 2000 && behind > span / POINTS) latest(span);
    },
    signal,
  );
  const notes = async () => {
    const found = await api.notes({ machine: machine.name, limit: 200 }, signal).catch(() => null);
    if (found) state.notes = found.notes.filter((one) => one.undone === null);
    view.redraw();
  };
  if (at) show(at - 1800, at + 1800, { soon: false });
  else latest(covered(machine) < 7200 ? 3600 : 86400);
  notes();
  return {
    element: h(
      "div",
      { class: "trend" },
      h("div", { class: "trend-bar" }, spans, moves, live, modes),
      readout,
      chart,
      h("p", { class: "unseen", id: "trend-keys" }, T.trend.keys),
      h("div", { class: "trend-foot" }, key(), summary),
      table,
    ),
    notes,
    select: pick,
    incidentsIn: ({ start, end }) =>
      state.incidents.filter((one) => one.raised <= end && (one.cleared ?? Infinity) >= start),
  };
}

/** What is at a place of the chart, or what the chart is of. */
function reading({ scores }, index) {
  const at = index === null || !scores ? -1 : index;
  if (at < 0 || scores.high[at] === undefined)
    return matchMedia("(pointer: coarse)").matches ? T.trend.howByFinger : T.trend.how;
  const limit = scores.thresholds.findLast((one) => one.time <= scores.time[at])?.threshold;
  return [
    h("strong", {}, time(scores.time[at], { seconds: scores.step < 60, always: true })),
    ` ${T.trend.of(duration(scores.step))} `,
    scores.high[at] === null
      ? T.trend.unscored
      : T.trend.value(figure(scores.low[at]), figure(scores.high[at]), figure(scores.mean[at])),
    limit === undefined ? "" : T.trend.limit(figure(limit)),
    scores.above[at] ? h("strong", { class: "over" }, ` ${T.trend.above(scores.above[at], scores.count[at])}`) : "",
  ];
}

function summed({ scores, incidents, total, start, end }) {
  const known = scores.high.filter((one) => one !== null);
  if (!known.length) return T.trend.empty;
  const top = Math.max(...known);
  const { time: times, high, step, above } = scores;
  const said = T.trend.summary(
    when(start, { always: true }),
    when(Math.min(end, Math.max(Date.now() / 1000, times.at(-1) + step)), { always: true }),
    figure(top),
    when(times[high.indexOf(top)], { always: true }),
    above.filter(Boolean).length,
    times.length,
    duration(step),
  );
  const alarms = incidents.filter((one) => one.kind === "alarm").length;
  return said + (total > incidents.length ? T.trend.incidents(incidents.length, total) : T.trend.alarms(alarms));
}

function key() {
  const one = (kind, text) => h("li", {}, h("span", { class: `key key-${kind}`, "aria-hidden": "true" }), text);
  return h(
    "ul",
    { class: "trend-key" },
    one("line", T.trend.keyLine),
    one("band", T.trend.keyBand),
    one("limit", T.trend.keyLimit),
    one("warning", T.trend.keyWarning),
    one("alarm", T.trend.keyIncident),
    one("note", T.trend.keyNote),
  );
}

/** At most two dozen rows that say what the chart shows. */
function tableOf({ scores }) {
  if (!scores?.time.length) return h("p", { class: "hint" }, T.trend.empty);
  const many = Math.ceil(scores.time.length / 24);
  const rows = [];
  for (let at = 0; at < scores.time.length; at += many) {
    const part = (name) => scores[name].slice(at, at + many).filter((one) => one !== null);
    const sum = (name) => part(name).reduce((a, b) => a + b, 0);
    rows.push([
      time(scores.time[at], { always: true }),
      part("low").length ? figure(Math.min(...part("low"))) : "–",
      part("high").length ? figure(Math.max(...part("high"))) : "–",
      `${sum("above")} / ${sum("count")}`,
    ]);
  }
  return h(
    "div",
    { class: "scroller", tabindex: 0, role: "region", "aria-label": T.trend.table },
    h(
      "table",
      {},
      h(
        "thead",
        {},
        h(
          "tr",
          {},
          T.trend.columns.map((one) => h("th", { scope: "col" }, one)),
        ),
      ),
      h(
        "tbody",
        {},
        rows.map(([head, ...rest]) =>
          h(
            "tr",
            {},
            h("th", { scope: "row" }, head),
            rest.map((one) => h("td", {}, one)),
          ),
        ),
      ),
    ),
  );
}
