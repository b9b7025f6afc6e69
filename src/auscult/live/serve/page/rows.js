// A table of incidents: by keyboard up and down, Enter opens, space plays.
import { api } from "./api.js";
import { fill, h } from "./dom.js";
import { clock, day, duration, figure, sameDay, time } from "./format.js";
import { plant } from "./plant.js";
import { alone } from "./player.js";
import { icon, kindSign } from "./signs.js";
import { T } from "./texts.js";

const audio = new Audio(); // one for all tables: a list that is drawn again goes on playing
let playing = null;

function turn(id) {
  if (playing === id && !audio.paused) return audio.pause();
  if (playing !== id) audio.src = api.sound(id);
  playing = id;
  alone(audio);
  return audio.play().catch(() => {});
}

function mark(root = document) {
  for (const one of root.querySelectorAll(".incidents .play")) {
    const on = one.dataset.id === playing && !audio.paused;
    fill(one, icon(on ? "pause" : "play"));
    one.setAttribute("aria-pressed", String(on));
  }
}

for (const event of ["play", "pause", "ended"]) audio.addEventListener(event, () => mark());

/** The table; `machines`: with a column that names them. */
export function incidentTable(incidents, { machines = true, caption, signal }) {
  signal.addEventListener("abort", () => audio.pause());
  const columns = ["when", "kind", machines && "machine", "words", "score", "verdict", "play"].filter(Boolean);
  const head = h(
    "thead",
    {},
    h(
      "tr",
      {},
      columns.map((one) => h("th", { scope: "col", class: `cell-${one}` }, T.columns[one])),
    ),
  );
  const bodies = days(incidents).map(([title, some]) =>
    h(
      "tbody",
      {},
      h("tr", { class: "day" }, h("th", { colspan: columns.length, scope: "colgroup" }, title)),
      some.map((one) => row(one, machines)),
    ),
  );
  const table = h("table", { class: "incidents" }, h("caption", { class: "unseen" }, caption), head, bodies);
  table.addEventListener("keydown", (event) => keys(event, table));
  mark(table);
  return table;
}

function days(incidents) {
  const found = [];
  for (const one of incidents) {
    if (!found.length || !sameDay(found.at(-1)[1][0].raised, one.raised)) found.push([day(one.raised), []]);
    found.at(-1)[1].push(one);
  }
  return found;
}

function row(one, machines) {
  const href = `#/alarm/${encodeURIComponent(one.id)}`;
  const long = one.cleared === null ? h("strong", { class: "open" }, T.open) : duration(one.cleared - one.raised);
  const title = plant.title(one.machine);
  const play = one.sound
    ? h(
        "button",
        {
          class: "play small",
          type: "button",
          tabindex: -1,
          "data-id": one.id,
          "aria-label": T.playAlarm(title, clock(one.raised)),
          on: { click: () => turn(one.id) },
        },
        icon("play"),
      )
    : null;
  return h(
    "tr",
    { class: one.cleared === null ? "is-open" : "", "data-row": one.id, "data-id": one.sound ? one.id : "" },
    h(
      "td",
      { class: "cell-when" },
      h(
        "a",
        { class: "row-link", href },
        time(one.raised, { clock: true }),
      ),
      h("span", { class: "hint" }, long),
    ),
    h("td", { class: "cell-kind" }, kindSign(one.kind)),
    machines ? h("td", { class: "cell-machine" }, title) : null,
    h("td", { class: "cell-words" }, one.words || one.message || ""),
    h(
      "td",
      { class: "cell-score" },
      one.score === null
        ? ""
        : [h("strong", {}, figure(one.score)), h("span", { class: "hint" }, T.ofThreshold(figure(one.threshold)))],
    ),
    h(
      "td",
      { class: "cell-verdict" },
      one.verdict ? h("span", { class: `tag tag-${one.verdict}` }, T.note.verdicts[one.verdict]) : "",
    ),
    h("td", { class: "cell-play" }, play),
  );
}

function keys(event, table) {
  const here = event.target.closest("tr");
  if (!here || here.closest("thead")) return;
  const links = [...table.querySelectorAll(".row-link")];
  const at = links.indexOf(here.querySelector(".row-link"));
  const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: links.length - 1 }[event.key];
  if (to !== undefined) links[Math.max(0, Math.min(to, links.length - 1))].focus();
  else if (event.key === " " && here.dataset.id && !event.target.closest("button")) turn(here.dataset.id);
  else return;
  event.preventDefault();
}
