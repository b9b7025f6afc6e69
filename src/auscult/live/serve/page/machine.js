// One machine: its scores from a minute to a year, its sound as it comes, what it is watched by, what people said.
import { api, newest } from "./api.js";
import { fill, h } from "./dom.js";
import { duration, figure, time } from "./format.js";
import { on } from "./live.js";
import { noteForm, noteList, proposalOf } from "./notes.js";
import { facts } from "./parts.js";
import { over, plant, saying } from "./plant.js";
import { incidentTable } from "./rows.js";
import { sign } from "./signs.js";
import { spectrum } from "./spectrum.js";
import { T } from "./texts.js";
import { trend } from "./trend.js";
import { upload } from "./upload.js";

export async function show(main, { name, query, signal }) {
  await plant.load().catch(() => []);
  const machine = await api.machine(name, signal);
  plant.put(machine);
  const head = h("div", { class: "view-head" });
  const known = section("facts", T.facts.title);
  const heard = section("heard", T.faults.title);
  const recent = section("recent", T.recent.title);
  const marking = h("div", { class: "marking", hidden: true });
  const chart = await trend(machine, {
    signal,
    at: Number(query.get("at")) || null,
    select: (...marked) => mark(...marked),
  });
  const reload = async () => {
    const now = await api.machine(name, signal).catch(() => null);
    if (!now) return;
    plant.put(now);
    header(head, now);
    fill(known.body, factsOf(now));
    noted(heard.body, now, signal, reload);
    chart.notes();
  };
  const mark = (span, byKey) => {
    marking.hidden = !span;
    if (span) fill(marking, markPanel(machine, span, chart, reload));
    if (span && byKey) marking.querySelector("textarea").focus();
  };
  const listens = machine.state !== "upload";
  header(head, machine);
  fill(known.body, factsOf(machine));
  fill(
    main,
    head,
    h(
      "div",
      { class: "machine-grid" },
      listens &&
        h(
          "section",
          { class: "panel wide", "aria-labelledby": "trend-title" },
          h("h2", { id: "trend-title" }, T.trend.title),
          chart.element,
          marking,
        ),
      h(
        "div",
        { class: "side" },
        listens ? spectrum(machine, { signal }) : upload(machine, { signal }),
        recent.element,
      ),
      h("div", { class: "side" }, known.element, heard.element, listens && upload(machine, { signal })),
    ),
  );
  noted(heard.body, machine, signal, reload);
  const last = newest();
  const again = () => lately(recent.body, name, signal, last);
  again();
  follow(name, head, { reload, lately: again }, signal);
  return machine.title || name;
}

function section(id, title) {
  const body = h("div");
  return {
    body,
    element: h(
      "section",
      { class: `panel panel-${id}`, "aria-labelledby": `${id}-title` },
      h("h2", { id: `${id}-title` }, title),
      body,
    ),
  };
}

function follow(name, head, { reload, lately: again }, signal) {
  let last = "";
  on(
    "machine",
    (news) => {
      if (news.name !== name) return;
      const now = `${news.state} ${news.since} ${news.message}`;
      if (now !== last) header(head, plant.get(name) ?? news);
      last = now;
    },
    signal,
  );
  on("window", (news) => news.machine === name && scoreOf(head, plant.get(name)), signal);
  on("incident", (news) => news.machine === name && again(), signal);
  for (const kind of ["note", "threshold"]) on(kind, (news) => news.machine === name && reload(), signal);
  on(
    "again",
    () => {
      reload();
      again();
    },
    signal,
  );
}

function header(head, machine) {
  fill(
    head,
    h("p", { class: "crumbs" }, h("a", { href: "#/" }, T.views[""]), " / ", machine.name),
    h(
      "div",
      { class: "head-row" },
      h("h1", { tabindex: -1 }, machine.title || machine.name),
      h(
        "p",
        { class: "lead" },
        sign(machine.state),
        machine.since ? h("span", { class: "hint" }, T.since, " ", time(machine.since)) : null,
      ),
      h(
        "p",
        { class: "head-score" },
        h("strong", { class: "score-now" }),
        " ",
        h("span", { class: "hint score-limit" }),
      ),
    ),
    saying(machine) ? h("p", { class: "words" }, saying(machine)) : null,
    machine.replay ? h("p", { class: "hint" }, T.replay) : null,
  );
  scoreOf(head, machine);
}

function scoreOf(head, machine) {
  const now = head.querySelector(".score-now");
  if (!now || !machine) return;
  now.textContent = figure(machine.score);
  now.classList.toggle("over", over(machine));
  head.querySelector(".score-limit").textContent =
    machine.threshold === null ? T.noThreshold : T.ofThreshold(figure(machine.threshold));
}

function factsOf(machine) {
  const seconds = (value) => `${Number(value.toFixed(2))} s`;
  return [
    facts([
      [T.facts.detector, machine.detector],
      [T.facts.source, machine.source],
      [T.facts.promised, machine.promised ? T.facts.atMost(machine.promised) : T.facts.notPromised],
      [T.facts.threshold, machine.threshold === null ? T.noThreshold : figure(machine.threshold)],
      [T.facts.warning, machine.warning === null ? null : figure(machine.warning)],
      [T.facts.windows, T.facts.windowsOf(seconds(machine.window_seconds), seconds(machine.step_seconds))],
      [T.facts.rate, `${machine.sample_rate / 1000} kHz`],
      [T.facts.heard, duration(machine.heard_seconds)],
      [T.facts.last, machine.last_window === null ? null : time(machine.last_window, { seconds: true })],
      [T.facts.alarms, machine.alarms_day],
    ]),
    machine.detector_file in T.facts.files ? h("p", { class: "caveat" }, T.facts.files[machine.detector_file]) : null,
    machine.caveat ? h("p", { class: "caveat" }, h("strong", {}, T.facts.caveat), " ", machine.caveat) : null,
  ];
}

/** How many confirmed faults were heard, and all that was said of this machine. */
async function noted(body, machine, signal, changed) {
  const { confirmed, heard } = machine.faults;
  const found = await api.notes({ machine: machine.name, limit: 50 }, signal).catch(() => ({ notes: [] }));
  const open = body.querySelector("details")?.open;
  fill(
    body,
    confirmed
      ? h(
          "p",
          { class: "big-figure" },
          h("strong", {}, `${heard} / ${confirmed}`),
          " ",
          T.faults.heard(heard, confirmed),
        )
      : h("p", { class: "hint" }, T.faults.none),
    h(
      "details",
      { class: "more", open, hidden: !found.notes.length },
      h("summary", {}, T.faults.notes(found.notes.length)),
      noteList(found.notes, changed),
    ),
  );
}

async function lately(body, name, signal, last) {
  const asked = [
    ["open", 20],
    ["over", 8],
  ].map(([state, limit]) => api.incidents({ machine: name, state, limit }, signal));
  const found = await last(Promise.all(asked)).catch(() => null);
  if (!found) return;
  const [open, over] = found;
  const focused = body.contains(document.activeElement) ? document.activeElement.closest("tr")?.dataset.row : null;
  const rows = [...open.incidents, ...over.incidents].sort((a, b) => b.raised - a.raised);
  fill(
    body,
    rows.length
      ? incidentTable(rows, { machines: false, caption: T.recent.title, signal })
      : h("p", { class: "hint" }, T.recent.none),
    open.total + over.total > rows.length
      ? h(
          "p",
          {},
          h("a", { href: `#/alarms?machine=${encodeURIComponent(name)}` }, T.recent.all(open.total + over.total)),
        )
      : null,
  );
  if (focused) body.querySelector(`[data-row="${CSS.escape(focused)}"] .row-link`)?.focus({ preventScroll: true });
}

/** What to do with the moment or span that was selected. */
function markPanel(machine, span, chart, reload) {
  const after = h("div");
  const done = (answer) => {
    fill(
      after,
      answer.proposal
        ? proposalOf(machine.name, answer.proposal, reload)
        : h("p", { class: "said-it", tabindex: -1 }, T.note.said[answer.note.verdict]),
    );
    after.firstChild.focus();
    reload();
  };
  const there = chart.incidentsIn(span);
  const links = there.map((one) =>
    h(
      "li",
      {},
      h(
        "a",
        { href: `#/alarm/${encodeURIComponent(one.id)}` },
        `${T.kinds[one.kind]}, `,
        time(one.raised, { always: true }),
      ),
      one.words ? ` – ${one.words}` : "",
    ),
  );
  return h(
    "section",
    { class: "mark-panel", "aria-labelledby": "mark-title" },
    h(
      "div",
      { class: "row" },
      h("h3", { id: "mark-title" }, T.mark.title),
      h("button", { class: "button small", type: "button", on: { click: () => chart.select(null) } }, T.close),
    ),
    links.length ? h("ul", { class: "differences" }, links) : null,
    noteForm({ machine: machine.name, incident: null, ...span }, done),
    after,
  );
}
