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
  const { time = [], high = [], step = 600 } = machine.trend ?? {};
  const known = high.filter((one) => one !== null);
  if (!known.length) return h("p", { class: "spark-none" }, T.nothingHeard);
  const limit = machine.threshold ?? null;
  const top = Math.max(...known, limit ?? -Infinity),
    floor = Math.min(...known, limit ?? Infinity);
  const range = top - floor || 1;
  const end = time.at(-1) + step,
    begin = end - covered(machine);
  const x = (t) => (Math.max(0, t - begin) / (end - begin)) * WIDTH;
  const y = (value) => HEIGHT - PAD - ((value - floor) / range) * (HEIGHT - 2 * PAD);
  const id = `over-${machine.name}`;
  const path = line(time, high, step, x, y);
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

/** A path through the middles of steps, to the ends of those that stand alone; broken where there is no score for long. */
function line(time, values, step, x, y) {
  const at = (t) => x(t).toFixed(1);
  let path = "",
    before = null; // the last step, unless the path is broken behind it
  const broken = () => {
    if (before !== null) path += `H${at(before + step)}`;
    before = null;
  };
  for (let i = 0; i < time.length; i++) {
    if (values[i] === null || time[i] - before > 3600) broken();
    if (values[i] === null) continue;
    const middle = at(time[i] + step / 2);
    const height = y(values[i]).toFixed(1);
    path += before === null ? `M${at(time[i])} ${height}H${middle}` : `L${middle} ${height}`;
    before = time[i];
  }
  broken();
  return path;
}
