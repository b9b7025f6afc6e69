// How one moves about in the trend: mouse, wheel, fingers, keys.

export const SPANS = [
  ["1min", 60],
  ["1h", 3600],
  ["1d", 86400],
  ["1w", 604800],
  ["1m", 2592000],
  ["1y", 31622400],
];
const SHORTEST = 60,
  LONGEST = SPANS.at(-1)[1];
const LATE = 0.9; // share of the chart from which on the wheel keeps the latest scores in sight
const MOVED = 5; // pixels from which on a press is a drag

/** A span that the chart can show, in seconds. */
export const within = (span) => Math.min(LONGEST, Math.max(SHORTEST, span));

/** Binds all of it to the chart. act: {show, zoom, pan, latest, pick} */
export function handled(chart, view, state, act) {
  chart.addEventListener("keydown", (event) => keys(event, view, state, act));
  chart.addEventListener("wheel", (event) => wheel(event, chart, view, state, act), { passive: false });
  pointers(chart, view, state, act);
}

function keys(event, view, state, act) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const span = state.end - state.start;
  const does = {
    ArrowLeft: () => act.pan(-0.25),
    ArrowRight: () => act.pan(0.25),
    "+": () => act.zoom(span / 2),
    "=": () => act.zoom(span / 2),
    "-": () => act.zoom(span * 2),
    End: () => act.latest(),
    ",": () => view.step(-1),
    ".": () => view.step(1),
    m: () => act.pick(moment(state, view.cursor() ?? (state.start + state.end) / 2), { byKey: true }),
    Escape: () => act.pick(null),
  }[event.key];
  if (!does) return;
  event.preventDefault();
  event.stopPropagation();
  does();
}

/** The window around a moment. */
function moment({ machine }, at) {
  const half = (machine.window_seconds || 10) / 2;
  return { start: Math.round(at - half), end: Math.round(at + half) };
}

/** The wheel moves sideways, and zooms with ctrl (a pinch on a touch pad is that) or once the chart has the focus. */
function wheel(event, chart, view, state, act) {
  const sideways = Math.abs(event.deltaX) > Math.abs(event.deltaY) || event.shiftKey;
  if (!sideways && !event.ctrlKey && document.activeElement !== chart) return;
  event.preventDefault();
  if (sideways) return act.pan((event.deltaX || event.deltaY) / 1500);
  const factor = Math.exp(Math.max(-1, Math.min(1, event.deltaY / (event.ctrlKey ? 100 : 400))));
  act.zoom((state.end - state.start) * factor, view.timeAt(event.clientX), {
    anchored: view.shareAt(event.clientX) < LATE,
  });
}

function pointers(chart, view, state, act) {
  const fingers = new Map();
  let press = null;
  const spanOf = (press_, x) => [press_.time, view.timeAt(x)].sort((a, b) => a - b);
  chart.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || !view.inside(event.target)) return;
    fingers.set(event.pointerId, event.clientX);
    if (fingers.size === 2) return (press = pinch(fingers, view, state));
    const marks = event.shiftKey || state.mode === "mark";
    const kind = marks ? "mark" : event.pointerType === "mouse" ? "zoom" : "pan";
    press = {
      kind,
      x: event.clientX,
      time: view.timeAt(event.clientX),
      start: state.start,
      end: state.end,
      moved: false,
    };
    return null;
  });
  addEventListener("pointermove", (event) => {
    if (!press || !fingers.has(event.pointerId)) return;
    fingers.set(event.pointerId, event.clientX);
    if (press.kind === "pinch") return pinched(press, fingers, view, act);
    press.moved ||= Math.abs(event.clientX - press.x) > MOVED;
    if (!press.moved) return null;
    if (press.kind === "pan") {
      const by = ((press.x - event.clientX) / view.width()) * (press.end - press.start);
      return act.show(press.start + by, press.end + by);
    }
    return view.box(...spanOf(press, event.clientX), press.kind);
  });
  const up = (event) => {
    if (!fingers.delete(event.pointerId) || !press) return;
    const done = press;
    if (done.kind === "pinch" && fingers.size) return;
    press = null;
    view.box(null);
    if (event.type === "pointercancel" || done.kind === "pinch") return;
    if (!done.moved) return act.pick(moment(state, done.time));
    const [start, end] = spanOf(done, event.clientX);
    if (done.kind === "mark") act.pick({ start, end });
    else if (done.kind === "zoom") act.show(...widened(start, end));
  };
  addEventListener("pointerup", up);
  addEventListener("pointercancel", up);
}

function widened(start, end) {
  const span = within(end - start),
    middle = (start + end) / 2;
  return [middle - span / 2, middle + span / 2];
}

function pinch(fingers, view, state) {
  const [a, b] = [...fingers.values()];
  return {
    kind: "pinch",
    apart: Math.abs(a - b) || 1,
    time: view.timeAt((a + b) / 2),
    start: state.start,
    end: state.end,
  };
}

function pinched(press, fingers, view, act) {
  const [a, b] = [...fingers.values()];
  const span = within((press.end - press.start) * (press.apart / (Math.abs(a - b) || 1)));
  const share = view.shareAt((a + b) / 2);
  act.show(press.time - span * share, press.time + span * (1 - share));
}
