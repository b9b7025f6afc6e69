// The sign of each state: a shape and a word that mean the same as its colour.
import { h, svg } from "./dom.js";
import { T } from "./texts.js";

const line = (d) => svg("path", { d, class: "sign-ink" });
const dot = (y) => svg("circle", { cx: 12, cy: y, r: 1.4, class: "sign-dot" });

const SHAPES = {
  normal: () => [svg("circle", { cx: 12, cy: 12, r: 10, class: "sign-body" }), line("M7.5 12.5l3 3 6-7")],
  warning: () => [svg("path", { d: "M12 2.2 23 21.5H1z", class: "sign-body" }), line("M12 9v5.5"), dot(18)],
  alarm: () => [
    svg("path", { d: "M8 1.5h8l6.5 6.5v8L16 22.5H8L1.5 16V8z", class: "sign-body" }),
    line("M12 6.5v7"),
    dot(17.3),
  ],
  trouble: () => [
    svg("rect", { x: 2, y: 2, width: 20, height: 20, rx: 3, class: "sign-body" }),
    line("M9 9.2c0-4 6-4 6-.2 0 2.4-3 2.5-3 5"),
    dot(17.6),
  ],
  waiting: () => [svg("circle", { cx: 12, cy: 12, r: 9.5, class: "sign-hollow" }), line("M12 6.5V12l3.5 2")],
  starting: () => [svg("circle", { cx: 12, cy: 12, r: 9.5, class: "sign-hollow sign-turning" })],
  upload: () => [
    svg("circle", { cx: 12, cy: 12, r: 9.5, class: "sign-hollow" }),
    line("M12 16.5v-8M8.5 11.5 12 8l3.5 3.5"),
  ],
  stopped: () => [
    svg("rect", { x: 2.5, y: 2.5, width: 19, height: 19, rx: 3, class: "sign-hollow" }),
    line("M7.5 12h9"),
  ],
};

/** The shape of a state alone; say the word beside it. */
export function shape(state) {
  return svg(
    "svg",
    { viewBox: "0 0 24 24", class: `sign state-${state}`, "aria-hidden": "true" },
    ...(SHAPES[state] || SHAPES.trouble)(),
  );
}

/** Shape and word of a state. */
export function sign(state) {
  return h("span", { class: `state state-${state}` }, shape(state), h("span", {}, T.states[state] ?? state));
}

/** Shape and word of the kind of an incident; a trouble has the state's sign. */
export function kindSign(kind) {
  return h("span", { class: `state state-${kind}` }, shape(kind), h("span", {}, T.kinds[kind] ?? kind));
}

const ICONS = {
  play: "M7 4.5v15l12-7.5z",
  theme: "M12 3a9 9 0 1 0 0 18zM12 3a9 9 0 0 1 0 18v-1.8a7.2 7.2 0 0 0 0-14.4z",
  pause: "M7 4.5h3.5v15H7zM13.5 4.5H17v15h-3.5z",
};

/** An icon of a button, drawn as a filled path. */
export function icon(name) {
  return svg("svg", { viewBox: "0 0 24 24", class: "icon", "aria-hidden": "true" }, svg("path", { d: ICONS[name] }));
}
