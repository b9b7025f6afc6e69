// The sound as it comes: a spectrogram that scrolls, with the evidence over it.
import { bytes } from "./api.js";
import { painted, SILENCE } from "./colours.js";
import { fill, h, say, sized } from "./dom.js";
import { clock } from "./format.js";
import { on } from "./live.js";
import { toggle } from "./parts.js";
import { kilohertz, legend } from "./picture.js";
import { plant } from "./plant.js";
import { T } from "./texts.js";

const SECONDS = 60;
const FAINT = 0.5; // share of the threshold up to which nothing is shown as evidence
const QUIET = new Set(["stopped", "upload"]);
const TICKS = [60, 45, 30, 15, 0];

/** The panel of a machine. */
export function spectrum(machine, { signal }) {
  const canvas = h("canvas", { role: "img", "aria-label": T.spectrum.label });
  const wait = h(
    "p",
    { class: "spectrum-wait", role: "status" },
    QUIET.has(machine.state) ? T.spectrum.quiet : T.spectrum.waiting,
  );
  const axis = h("div", { class: "axis-y", "aria-hidden": "true" });
  const field = h("div", { class: "picture-field" }, canvas, wait);
  const foot = h("div");
  const last = h("span", { class: "hint" });
  const state = { columns: [], end: 0, evidence: true, still: false };
  let known = "";
  const draw = () => field.clientWidth && paint(canvas, field, state);
  on(
    "columns",
    (news) => {
      if (news.machine !== machine.name || state.still) return;
      wait.hidden = true;
      put(state, news, strength(plant.get(machine.name) ?? machine));
      say(last, clock(news.time, true));
      const scale = `${news.low_hz} ${news.high_hz}`;
      if (scale !== known) {
        known = scale;
        fill(axis, kilohertz(news));
        fill(foot, legend(news.spectrogram, T.evidenceLive));
      }
      draw();
    },
    signal,
  );
  on("connection", (since) => since !== null && (wait.hidden = false), signal);
  sized(field, draw, signal);
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  state.still = still;
  if (still) say(wait, T.spectrum.stillness);
  return h(
    "section",
    { class: "panel panel-spectrum", "aria-labelledby": "spectrum-title" },
    h(
      "div",
      { class: "row" },
      h("h2", { id: "spectrum-title" }, T.spectrum.title),
      last,
      h(
        "div",
        { class: "row" },
        toggle(T.alarm.showEvidence, true, (on_) => {
          state.evidence = on_;
          draw();
        }),
        toggle(
          T.spectrum.run,
          !still,
          (on_) => {
            state.still = !on_;
          },
          T.spectrum.runTip,
        ),
      ),
    ),
    h(
      "figure",
      { class: "picture live" },
      axis,
      field,
      h(
        "div",
        { class: "axis-x", "aria-hidden": "true" },
        TICKS.map((one) =>
          h("span", { style: { left: `${100 - (one / SECONDS) * 100}%` } }, one ? T.spectrum.ago(one) : T.spectrum.now),
        ),
      ),
    ),
    foot,
  );
}

/** How strongly evidence shows: a map alone is as bright for normal sound, so the score against the threshold says it. */
function strength({ score, threshold }) {
  if (score === null || threshold === null || threshold <= 0) return 1;
  return Math.min(1, Math.max(0, (score / threshold - FAINT) / (1 - FAINT)));
}

/** Keeps the pictures of the last minute. */
function put(state, { time, seconds, spectrogram, map }, alpha) {
  if (time < state.end || time > state.end + 10 * SECONDS) state.columns = [];
  const before = state.columns.at(-1)?.time ?? -Infinity;
  const joined = Math.abs(time - seconds - before) < 0.5 + seconds / 2; // the clock trembles; sound does not
  state.end = time;
  state.columns.push({
    time,
    from: joined ? before : time - seconds,
    alpha,
    sound: painted(bytes(spectrogram), spectrogram),
    map: map && painted(bytes(map), map, { evidence: true }),
  });
  state.columns = state.columns.filter((one) => one.time > state.end - SECONDS);
}

function paint(canvas, field, { columns, end, evidence }) {
  const ratio = devicePixelRatio || 1;
  const [width, height] = [Math.round(field.clientWidth * ratio), Math.round(field.clientHeight * ratio)];
  if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
  const context = canvas.getContext("2d");
  context.fillStyle = SILENCE;
  context.fillRect(0, 0, width, height);
  const x = (time) => Math.round(((time - end + SECONDS) / SECONDS) * width);
  for (const { time, from: begin, alpha, sound, map } of columns) {
    const from = x(begin),
      to = x(time);
    context.drawImage(sound, from, 0, to - from, height);
    context.globalAlpha = alpha;
    if (evidence && map) context.drawImage(map, from, 0, to - from, height);
    context.globalAlpha = 1;
  }
}
