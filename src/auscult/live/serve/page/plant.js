// What is known of the machines: loaded once, kept up by the events of the stream.
import { api } from "./api.js";
import { on } from "./live.js";

const known = new Map();
let loading = null;

const ORDER = ["alarm", "warning", "trouble", "stopped", "waiting", "starting", "upload", "normal"];
const MOST = 300; // points of a trend
const STEP = 600; // seconds of a point of the trend of a card, where the server does not say

export const plant = {
  /** All machines, from the server if `fresh` or not yet known. */
  async load({ fresh = false } = {}) {
    if (known.size && !fresh) return plant.all();
    loading ??= api.machines().finally(() => (loading = null));
    const machines = await loading;
    known.clear();
    for (const machine of machines) known.set(machine.name, machine);
    return plant.all();
  },
  all: () => [...known.values()],
  get: (name) => known.get(name),
  put: (machine) => known.set(machine.name, { ...known.get(machine.name), ...machine }),
  title: (name) => known.get(name)?.title || name,
};

/** Worst first; among normal ones the order of the plant, so that each stays where people know it. */
export function worstFirst(machines) {
  const ratio = (one) => (one.score ?? 0) / (one.threshold || 1);
  const rank = (one) => ORDER.indexOf(one.state);
  return machines
    .map((one, place) => ({ one, place }))
    .sort(
      (a, b) =>
        rank(a.one) - rank(b.one) || (a.one.state === "normal" ? 0 : ratio(b.one) - ratio(a.one)) || a.place - b.place,
    )
    .map(({ one }) => one);
}

/** Half as many points, each as high as the higher one of two. */
function halve(trend) {
  const pairs = trend.time.filter((_, at) => at % 2 === 0);
  trend.high = pairs.map((_, at) =>
    trend.high.slice(2 * at, 2 * at + 2).reduce((a, b) => (a === null ? b : Math.max(a, b ?? a))),
  );
  [trend.time, trend.step] = [pairs, 2 * (trend.step ?? STEP)];
}

/** Whether the last score is over the threshold; an alarm may still stand when it no longer is. */
export const over = ({ score, threshold }) => score !== null && threshold !== null && score > threshold;

/** What is to be said of a machine beside its state: how it sounds, or what is wrong with hearing it. */
export function saying(machine) {
  if (machine.state === "alarm" || machine.state === "warning") return machine.words || machine.message || "";
  return machine.state === "normal" ? "" : machine.message || "";
}

on("machine", (news) => known.has(news.name) && plant.put(news));

on("incident", async ({ machine: name }) => {
  const found = known.has(name) && (await api.machine(name).catch(() => null));
  if (found) plant.put(found);
});

on("window", ({ machine: name, time, score }) => {
  const machine = known.get(name);
  if (!machine) return;
  machine.score = score;
  machine.last_window = time;
  const { time: times, high, step = STEP } = machine.trend ?? { time: [], high: [] };
  if (!times.length || time >= times.at(-1) + step) {
    times.push(times.length ? times.at(-1) + step * Math.floor((time - times.at(-1)) / step) : time);
    high.push(score);
    while (times[0] < time - 86400) {
      times.shift();
      high.shift();
    }
    if (times.length > MOST) halve(machine.trend);
  } else if (score !== null) high[high.length - 1] = Math.max(high.at(-1) ?? score, score);
});
