// The last 24 hours of a machine as one line, with its threshold.
import { h, svg } from "./dom.js";
import { duration, figure, when } from "./format.js";
import { T } from "./texts.js";

const WIDTH = 240,
  HEIGHT = 48,
  PAD = 3;

/** What the line covers, in seconds: a day, or what is known of a machine that was not heard for so long. */
export function covered(machine) {
  const { time = [], step = 600 } = machine.trend ?? {};
  return time.length ? Math.min(86400, Math.max(600, time.at(-1) - time[0] + step)) : 86400;
}

/** The drawing of `machine.trend`, with a sentence for who cannot see it; a word where nothing was heard. */
export function sparkline(machine) {
  const { time = [], high = [] } = machine.trend ?? {};
  const known = high.filter((one) => one !== null);
  if (!known.length) return h("p", { class: "spark-none" }, T.nothingHeard);
  const limit = machine.threshold ?? null;
  const top = Math.max(...known, limit ?? -Infinity),
    floor = Math.min(...known, limit ?? Infinity);
  const range = top - floor || 1;
  const end = time.at(-1),
    begin = end - covered(machine);
  const x = (t) => ((t - begin) / (end - begin)) * WIDTH;
  const y = (value) => HEIGHT - PAD - ((value - floor) / range) * (HEIGHT - 2 * PAD);
  const id = `over-${machine.name}`;
  const path = line(time, high, x, y);
  const at = time[high.indexOf(Math.max(...known))];
  return svg(
    "svg",
    {
      class: "spark",
      viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
      preserveAspectRatio: "none",
      role: "img",
      "aria-label": T.sparkline(duration(covered(machine)), figure(Math.max(...known)), when(at), figure(limit)),
    },
    limit === null
      ? null
      : svg("clipPath", { id }, svg("rect", { x: 0, y: 0, width: WIDTH, height: Math.max(0, y(limit)) })),
    svg("path", { class: "spark-line", d: path }),
    limit === null ? null : svg("path", { class: "spark-limit", d: `M0 ${y(limit)}H${WIDTH}` }),
    limit === null ? null : svg("path", { class: "spark-over", d: path, "clip-path": `url(#${CSS.escape(id)})` }),
  );
}

/** A path that is broken where there is no score, or no time for long. */
function line(time, values, x, y) {
  let path = "",
    joined = false,
    before = -Infinity;
  for (let i = 0; i < time.length; i++) {
    if (values[i] === null) {
      joined = false;
      continue;
    }
    if (time[i] - before > 3600) joined = false;
    path += `${joined ? "L" : "M"}${x(time[i]).toFixed(1)} ${y(values[i]).toFixed(1)}${joined ? "" : "h0.5"}`;
    [joined, before] = [true, time[i]];
  }
  return path;
}
