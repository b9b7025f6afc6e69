// Machines at a glance: a card for each, worst first, and one sentence for all.
import { fill, h, say } from "./dom.js";
import { duration, figure, time } from "./format.js";
import { on } from "./live.js";
import { over, plant, saying, worstFirst } from "./plant.js";
import { shape } from "./signs.js";
import { covered, sparkline } from "./sparkline.js";
import { T } from "./texts.js";

const FEW = 8; // machines up to which all cards are large
const GROUPS = {
  open: ["alarm", "warning", "trouble"],
  idle: ["stopped", "waiting", "starting", "upload"],
  calm: ["normal"],
};

export async function show(main, { signal }) {
  await plant.load({ fresh: true });
  const head = h("div", { class: "summary" });
  const body = h("div", { class: "groups" });
  let cards = new Map();
  const arrange = () => {
    const machines = worstFirst(plant.all());
    cards = new Map(machines.map((machine) => [machine.name, cards.get(machine.name) ?? card(machine)]));
    for (const machine of machines) cards.get(machine.name).update(machine);
    fill(head, summary(machines));
    body.classList.toggle("few", machines.length <= FEW);
    fill(body, machines.length ? groups(machines, cards) : nobody());
  };
  fill(main, head, body);
  arrange();
  let order = "";
  on(
    "machine",
    (news) => {
      if (!plant.get(news.name)) return;
      const now = plant
        .all()
        .map((one) => one.name + one.state + one.since)
        .join();
      if (now !== order) keepingFocus(arrange);
      else cards.get(news.name)?.update(plant.get(news.name));
      order = now;
    },
    signal,
  );
  on("window", (news) => cards.get(news.machine)?.soon(), signal);
  on(
    "again",
    async () => {
      await plant.load({ fresh: true });
      arrange();
    },
    signal,
  );
  const tick = setInterval(() => cards.forEach((one, name) => one.update(plant.get(name))), 30000);
  signal.addEventListener("abort", () => clearInterval(tick));
  return "";
}

function keepingFocus(arrange) {
  const focused = document.activeElement;
  arrange();
  if (focused?.isConnected) focused.focus({ preventScroll: true });
}

function nobody() {
  return h("section", { class: "empty" }, h("h2", {}, T.noMachines), h("p", {}, T.noMachinesHow));
}

/** The sentence of the morning, and what else there is, in a line. */
function summary(machines) {
  const of = (state) => machines.filter((one) => one.state === state);
  const alarms = of("alarm");
  const title = h("h1", { tabindex: -1, class: alarms.length ? "wrong" : "" });
  if (alarms.length) {
    const since = Math.min(...alarms.map((one) => one.since ?? Infinity));
    fill(
      title,
      T.wrong(alarms.length, machines.length),
      Number.isFinite(since) ? [", ", T.since, " ", time(since)] : "",
      ".",
    );
  } else fill(title, T.calm(machines.length, of("normal").length, of("warning").length, of("upload").length));
  const rest = ["warning", "trouble", "stopped", "waiting", "starting", "upload", "normal"].map((state) => [
    state,
    of(state).length,
  ]);
  const counts = rest
    .filter(([, count]) => count)
    .map(([state, count]) => h("li", { class: `state-${state}` }, shape(state), T.counts[state](count)));
  return [title, machines.length > 1 ? h("ul", { class: "counts" }, counts) : null];
}

function groups(machines, cards) {
  return Object.entries(GROUPS).map(([kind, states]) => {
    const some = machines.filter((one) => states.includes(one.state));
    if (!some.length) return null;
    return h(
      "section",
      { class: `group group-${kind}`, "aria-labelledby": `group-${kind}` },
      h("h2", { id: `group-${kind}` }, T.groups[kind]),
      h(
        "ul",
        { class: "cards" },
        some.map((one) => cards.get(one.name).element),
      ),
    );
  });
}

/** A card that changes in place. */
function card(machine) {
  const name = h("span", { class: "card-name" });
  const word = h("span", { class: "card-word" });
  const since = h("span", { class: "card-since" });
  const words = h("p", { class: "card-words" });
  const score = h("span", { class: "card-score" });
  const threshold = h("span", { class: "card-threshold" });
  const age = h("span", { class: "card-age" });
  const mark = h("span", { class: "card-sign" });
  const trend = h("div", { class: "card-trend" });
  const element = h(
    "li",
    {},
    h(
      "a",
      { class: "card", href: `#/machine/${encodeURIComponent(machine.name)}` },
      h(
        "span",
        { class: "card-head" },
        mark,
        h("span", { class: "card-title" }, name, h("span", { class: "card-state" }, word, since)),
      ),
      words,
      trend,
      h("span", { class: "card-foot" }, score, threshold, age),
    ),
  );
  let state = "",
    began = 0,
    drawn = 0,
    timer = 0;
  const update = (now) => {
    if (now.state !== state) {
      element.firstChild.className = `card state-${now.state}`;
      fill(mark, shape(now.state));
      say(word, T.states[now.state] ?? now.state);
    }
    if (now.since !== began || now.state !== state)
      fill(since, now.since ? [T.since, " ", time(now.since, { near: now.last_window ?? Date.now() / 1000 })] : "");
    [state, began] = [now.state, now.since];
    say(name, now.title || now.name);
    say(words, saying(now));
    say(score, figure(now.score));
    score.classList.toggle("over", over(now));
    say(
      threshold,
      now.threshold === null || now.threshold === undefined ? T.noThreshold : T.ofThreshold(figure(now.threshold)),
    );
    if (Date.now() - drawn > 5000) {
      drawn = Date.now();
      fill(trend, sparkline(now));
      say(age, now.trend?.time.length ? T.lastOf(duration(covered(now))) : "");
    }
  };
  const soon = () => {
    timer ||= setTimeout(() => {
      timer = 0;
      if (element.isConnected) update(plant.get(machine.name));
    }, 400);
  };
  return { element, update, soon };
}
