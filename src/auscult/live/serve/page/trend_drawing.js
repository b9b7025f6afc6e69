// Drawing the trend with uPlot: band, line, threshold that steps, incidents as spans, notes as marks.
import { colour, h } from "./dom.js";

const FONT = "12px system-ui, sans-serif";
const KINDS = ["alarm", "warning", "trouble"];

/** A view of the chart's state; `pointed` gets the index of the values under the cursor, or null. */
export function drawn(field, state, pointed) {
  let plot = null,
    places = [],
    colours = {},
    box = null;
  const script = loaded();
  const rebuild = () => {
    if (!globalThis.uPlot || !field.clientWidth || !field.isConnected) return;
    plot?.destroy();
    colours = palette(field);
    plot = new globalThis.uPlot(
      options(field, state, colours, {
        pointed: (i) => pointed(i === null || i === undefined ? null : (places[i] ?? null)),
        box: () => box,
      }),
      columns(),
      field,
    );
  };
  const columns = () => {
    const found = withGaps(state.scores);
    places = found.places;
    return [found.time, found.high, found.low, found.mean, found.over];
  };
  const shareAt = (x) => (x - plot.over.getBoundingClientRect().left) / plot.over.clientWidth;
  script.then(rebuild);
  return {
    rebuild,
    data: () => (plot ? plot.setData(columns()) : script.then(rebuild)),
    range: () => plot?.setScale("x", { min: state.start, max: state.end }),
    redraw: () => plot?.redraw(false),
    resize: () => (plot ? plot.setSize({ width: field.clientWidth, height: field.clientHeight }) : rebuild()),
    end: () => plot?.destroy(),
    inside: (target) => plot?.over.contains(target) ?? false,
    width: () => plot.over.clientWidth,
    shareAt,
    timeAt: (x) => state.start + shareAt(x) * (state.end - state.start),
    cursor: () => (plot?.cursor.idx === null || plot?.cursor.idx === undefined ? null : plot.data[0][plot.cursor.idx]),
    step(by) {
      if (!plot?.data[0].length) return;
      const at = Math.max(0, Math.min((plot.cursor.idx ?? plot.data[0].length - 1) + by, plot.data[0].length - 1));
      plot.setCursor({ left: plot.valToPos(plot.data[0][at], "x"), top: 0 });
    },
    box(start, end, kind) {
      box = start === null ? null : { start, end, kind };
      plot?.redraw(false);
    },
  };
}

/** uPlot, from our own files, when it is first needed. */
function loaded() {
  if (globalThis.uPlot) return Promise.resolve();
  document.head.append(h("link", { rel: "stylesheet", href: "assets/uplot/uPlot.min.css" }));
  return new Promise((resolve, reject) => {
    document.head.append(h("script", { src: "assets/uplot/uPlot.iife.min.js", on: { load: resolve, error: reject } }));
  });
}

const palette = (element) =>
  Object.fromEntries(
    ["ink", "muted", "line", "surface", "accent", "score", "alarm", "warning", "trouble", "normal"].map((name) => [
      name,
      colour(`--${name}`, element),
    ]),
  );

/** The columns for uPlot, with an empty place wherever steps are missing; `places`: their index in the answer. */
function withGaps(scores) {
  const found = { time: [], high: [], low: [], mean: [], over: [], places: [] };
  if (!scores) return found;
  const { step } = scores;
  let before = null;
  const put = (time, at) => {
    found.time.push(time + step / 2);
    for (const name of ["high", "low", "mean"]) found[name].push(at === null ? null : scores[name][at]);
    found.over.push(at !== null && scores.above[at] ? scores.high[at] : null);
    found.places.push(at);
  };
  scores.time.forEach((time, at) => {
    if (before !== null && time - before > step * 1.5) put(before + step, null);
    put(time, at);
    before = time;
  });
  return found;
}

function options(field, state, colours, { pointed, box }) {
  const alpha = (one, share) =>
    one.replace(/^rgba?\(([^)]*)\)$/, (_, inside) => `rgba(${inside.split(/[,/]/).slice(0, 3).join(",")},${share})`);
  const axis = { stroke: colours.muted, font: FONT, grid: { stroke: colours.line, width: 1 }, ticks: { show: false } };
  return {
    width: field.clientWidth,
    height: field.clientHeight,
    legend: { show: false },
    padding: [14, 24, 0, 0],
    cursor: {
      drag: { x: false, y: false, setScale: false },
      y: false,
      points: { size: 7, fill: colours.accent, stroke: colours.accent },
    },
    scales: {
      x: { time: true, auto: false, range: () => [state.start, state.end] },
      y: { range: (_, low, high) => vertical(state, low, high) },
    },
    axes: [
      { ...axis, values: times, space: 72, gap: 6 },
      { ...axis, size: 48, gap: 6, space: 36 },
    ],
    series: [
      {},
      { stroke: colours.score, width: 1.5, points: { show: false } },
      { stroke: "transparent", width: 0, points: { show: false } },
      { stroke: alpha(colours.score, 0.45), width: 1, points: { show: false } },
      { stroke: colours.alarm, width: 2.5, points: { size: 4, fill: colours.alarm } },
    ],
    bands: [{ series: [1, 2], fill: alpha(colours.score, 0.18) }],
    hooks: {
      drawClear: [(u) => spans(u, state, colours, alpha)],
      draw: [
        (u) => {
          limits(u, state, colours);
          marks(u, state, colours);
          chosen(u, box() ?? state.selected, colours, alpha);
        },
      ],
      setCursor: [(u) => pointed(u.cursor.idx)],
    },
  };
}

function vertical({ scores }, low, high) {
  const limits = scores?.thresholds.map((one) => one.threshold).filter((one) => one !== null) ?? [];
  const top = Math.max(high ?? -Infinity, ...limits),
    floor = Math.min(low ?? Infinity, ...limits);
  if (!Number.isFinite(top) || !Number.isFinite(floor)) return [0, 1];
  const room = (top - floor || Math.abs(top) || 1) * 0.1;
  return [floor >= 0 && floor < room * 4 ? 0 : floor - room, top + room];
}

const text = (options_) => new Intl.DateTimeFormat("en-GB", options_);
const CLOCK = text({ hour: "2-digit", minute: "2-digit" }),
  FINE = text({ hour: "2-digit", minute: "2-digit", second: "2-digit" });
const DAY = text({ day: "numeric", month: "short" }),
  MONTH = text({ month: "short", year: "numeric" });

/** Labels of the axis of time: the date below the first and below each new day. */
function times(_, splits, __, ___, step) {
  let last = "";
  return splits.map((seconds) => {
    const moment = new Date(seconds * 1000),
      day = DAY.format(moment);
    if (step >= 86400 * 27) return MONTH.format(moment);
    if (step >= 86400) return day;
    const new_ = day !== last;
    last = day;
    return (step < 60 ? FINE : CLOCK).format(moment) + (new_ ? `\n${day}` : "");
  });
}

/** Clips to the field in which curves are, and calls with x and y in pixels of the canvas. */
function inField(u, draw) {
  const { ctx, bbox } = u;
  ctx.save();
  ctx.beginPath();
  ctx.rect(bbox.left, bbox.top - 10 * devicePixelRatio, bbox.width, bbox.height + 10 * devicePixelRatio);
  ctx.clip();
  draw(
    ctx,
    bbox,
    (time) => u.valToPos(time, "x", true),
    (value) => u.valToPos(value, "y", true),
  );
  ctx.restore();
}

function spans(u, state, colours, alpha) {
  inField(u, (ctx, box, x) => {
    const thick = 5 * devicePixelRatio;
    for (const one of [...state.incidents].sort((a, b) => KINDS.indexOf(b.kind) - KINDS.indexOf(a.kind))) {
      const from = x(one.raised),
        to = Math.max(x(one.cleared ?? state.end), from + 2 * devicePixelRatio);
      ctx.fillStyle = alpha(colours[one.kind], 0.13);
      ctx.fillRect(from, box.top, to - from, box.height);
      ctx.fillStyle = colours[one.kind];
      ctx.fillRect(from, box.top - thick - 2 * devicePixelRatio, to - from, thick);
    }
  });
}

function limits(u, { scores, end }, colours) {
  if (!scores) return;
  inField(u, (ctx, box, far, y) => {
    const x = (time) => Math.max(box.left - 9, Math.min(far(time), box.left + box.width + 9)); // dashes from far away blur
    for (const [name, dashes, ink] of [
      ["threshold", [6, 4], colours.alarm],
      ["warning", [2, 4], colours.warning],
    ]) {
      ctx.beginPath();
      ctx.setLineDash(dashes.map((one) => one * devicePixelRatio));
      [ctx.lineWidth, ctx.strokeStyle] = [1.5 * devicePixelRatio, ink];
      scores.thresholds.forEach((one, at) => {
        if (one[name] === null || one[name] === undefined) return;
        const until = scores.thresholds[at + 1]?.time ?? end;
        if (at && scores.thresholds[at - 1][name] !== null) ctx.lineTo(x(one.time), y(one[name]));
        else ctx.moveTo(x(one.time), y(one[name]));
        ctx.lineTo(x(until), y(one[name]));
      });
      ctx.stroke();
    }
    ctx.setLineDash([]);
  });
}

/** Notes at the foot: a diamond for a fault, a disc for normal, a square for a remark. */
function marks(u, state, colours) {
  inField(u, (ctx, box, x) => {
    const size = 6 * devicePixelRatio,
      y = box.top + box.height - size - 3 * devicePixelRatio;
    for (const note of state.notes) {
      const at = x((note.start + note.end) / 2);
      ctx.beginPath();
      if (note.verdict === "fault")
        for (const [dx, dy] of [
          [0, -1],
          [1, 0],
          [0, 1],
          [-1, 0],
        ])
          ctx.lineTo(at + dx * size * 1.2, y + dy * size * 1.2);
      else if (note.verdict === "normal") ctx.arc(at, y, size * 0.9, 0, 2 * Math.PI);
      else ctx.rect(at - size * 0.8, y - size * 0.8, size * 1.6, size * 1.6);
      ctx.closePath();
      ctx.fillStyle = { fault: colours.alarm, normal: colours.normal }[note.verdict] ?? colours.muted;
      [ctx.strokeStyle, ctx.lineWidth] = [colours.surface, 2 * devicePixelRatio];
      ctx.stroke();
      ctx.fill();
    }
  });
}

function chosen(u, span, colours, alpha) {
  if (!span) return;
  inField(u, (ctx, box, x) => {
    const from = x(span.start),
      width = Math.max(x(span.end) - from, 2 * devicePixelRatio);
    ctx.fillStyle = alpha(colours.accent, 0.2);
    ctx.fillRect(from, box.top, width, box.height);
    [ctx.strokeStyle, ctx.lineWidth] = [colours.accent, devicePixelRatio];
    ctx.strokeRect(from, box.top, width, box.height);
  });
}
