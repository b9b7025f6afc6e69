// The picture of a kept sound: its spectrogram, the evidence over it, axes in s and kHz, and where the player is.
import { bytes } from "./api.js";
import { frequencies, painted } from "./colours.js";
import { fill, h, sized } from "./dom.js";
import { T } from "./texts.js";

const STEPS = [0.5, 1, 2, 5, 10, 20, 30, 60, 120]; // seconds between ticks

/**
 * A figure. sound: {spectrogram, map, seconds, low_hz, high_hz, window_start, window_seconds}; `before`: seconds of it
 * before the windows that raised the alarm; `seek` gets the second that was pointed at.
 */
export function picture(sound, { label, before = null, seek = null, signal }) {
  const { spectrogram, map, seconds } = sound;
  const below = painted(bytes(spectrogram), spectrogram);
  const above = map ? painted(bytes(map), map, { evidence: true }) : null;
  const canvas = h("canvas", { role: "img", "aria-label": label });
  const share = (time) => `${Math.min(100, Math.max(0, (time / seconds) * 100))}%`;
  const head = h("div", { class: "playhead", hidden: true });
  const span =
    map || sound.window_seconds
      ? h(
          "div",
          {
            class: "window-span",
            style: {
              left: share(sound.window_start ?? 0),
              width: share(Math.min(sound.window_seconds ?? seconds, seconds - (sound.window_start ?? 0))),
            },
          },
          h("span", {}, T.worstWindow),
        )
      : null;
  const onset = before ? h("div", { class: "onset", style: { left: share(before) } }) : null;
  const field = h("div", { class: "picture-field" }, canvas, span, onset, head);
  let shown = true;
  const draw = (width) => {
    const ratio = devicePixelRatio || 1;
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(field.clientHeight * ratio);
    const context = canvas.getContext("2d");
    context.imageSmoothingEnabled = spectrogram.frames > width * ratio;
    context.drawImage(below, 0, 0, canvas.width, canvas.height);
    if (!above || !shown) return;
    const scale = canvas.width / seconds;
    context.drawImage(
      above,
      (sound.window_start ?? 0) * scale,
      0,
      Math.min(sound.window_seconds ?? seconds, seconds) * scale,
      canvas.height,
    );
  };
  sized(field, draw, signal);
  if (seek)
    field.addEventListener("click", (event) =>
      seek(((event.clientX - field.getBoundingClientRect().left) / field.clientWidth) * seconds),
    );
  if (seek) field.classList.add("seekable");
  const element = h(
    "figure",
    { class: "picture" },
    h(
      "div",
      { class: "axis-y", "aria-hidden": "true" },
      kilohertz(sound),
    ),
    field,
    h(
      "div",
      { class: "axis-x", "aria-hidden": "true" },
      ticks(seconds).map((at) => h("span", { style: { left: share(at) } }, String(at))),
      h("span", { class: "unit" }, "s"),
    ),
  );
  return {
    element,
    /** Moves the playhead to a second. */
    at(time) {
      head.hidden = false;
      head.style.left = share(time);
    },
    /** Shows or hides the evidence. */
    evidence(on) {
      shown = on;
      if (span) span.hidden = !on;
      if (field.clientWidth) draw(field.clientWidth);
    },
    hasEvidence: above !== null,
  };
}

/** The labels of the axis of frequency of a sound: its unit, and numbers where they stand. */
export function kilohertz({ low_hz: low, high_hz: high }) {
  const labels = frequencies(low, high).map(([text, at]) => h("span", { style: { bottom: `${at * 100}%` } }, text));
  return [h("span", { class: "unit" }, "kHz"), labels];
}

function ticks(seconds) {
  const step = STEPS.find((one) => seconds / one <= 8) ?? 300;
  return Array.from({ length: Math.floor((seconds - step * 0.3) / step) + 1 }, (_, k) => k * step);
}

/** What the colours mean; `evidence`: what is said of it, if there is any. */
export function legend(spectrogram, evidence) {
  const { low, high, unit } = spectrogram;
  return fill(
    h("p", { class: "legend" }),
    h("span", {}, level(low, unit)),
    h("span", { class: "legend-sound", "aria-hidden": "true" }),
    h("span", {}, level(high, unit)),
    evidence ? h("span", {}, h("span", { class: "legend-evidence", "aria-hidden": "true" }), evidence) : null,
  );
}

const level = (value, unit) => `${Math.round(value)} ${unit}`.replace("-", "\u2212");
