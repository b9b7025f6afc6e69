// One alarm: hear it, see in what it differs, compare it with normal sound, say what it was.
import { api, ApiError } from "./api.js";
import { fill, h } from "./dom.js";
import { duration, figure, time } from "./format.js";
import { on } from "./live.js";
import { noteForm, noteList, proposalOf } from "./notes.js";
import { facts, toggle } from "./parts.js";
import { legend, picture } from "./picture.js";
import { plant } from "./plant.js";
import { player } from "./player.js";
import { typing } from "./shortcuts.js";
import { kindSign } from "./signs.js";
import { T } from "./texts.js";

export async function show(main, { name: id, signal }) {
  const [incident] = await Promise.all([api.incident(id, signal), plant.load()]);
  const machine = plant.title(incident.machine);
  const head = h("div", { class: "view-head" });
  const sound = h(
    "section",
    { class: "panel sound", "aria-labelledby": "sound-title" },
    h("h2", { id: "sound-title" }, T.alarm.sound),
  );
  const said = h("section", { class: "panel said", "aria-labelledby": "said-title" });
  const about = h("section", { class: "panel", "aria-labelledby": "about-title" });
  const header = (now) => {
    fill(
      head,
      h(
        "p",
        { class: "crumbs" },
        h("a", { href: "#/alarms" }, T.views.alarms),
        " / ",
        h("a", { href: `#/machine/${encodeURIComponent(incident.machine)}` }, machine),
      ),
      h("h1", { tabindex: -1 }, machine),
      h(
        "p",
        { class: "lead" },
        kindSign(now.kind),
        h("span", {}, " ", time(now.raised, { always: true })),
        h("span", { class: "hint" }, now.cleared === null ? T.stillOpen : T.lasted(duration(now.cleared - now.raised))),
      ),
      h("p", { class: "words" }, now.words || now.message || T.kinds[now.kind]),
    );
    fill(
      about,
      h("h2", { id: "about-title" }, T.alarm.facts),
      facts([
        [
          T.facts.trend,
          h("a", { href: `#/machine/${encodeURIComponent(incident.machine)}?at=${now.raised}` }, T.alarm.inTrend),
        ],
        [T.facts.raised, time(now.raised, { seconds: true, always: true })],
        [T.facts.cleared, now.cleared === null ? T.open : time(now.cleared, { seconds: true, always: true })],
        [T.facts.score, now.score === null ? null : figure(now.score)],
        [T.facts.threshold, now.threshold === null ? null : figure(now.threshold)],
        [T.facts.message, now.words ? now.message : null],
      ]),
    );
  };
  const opinion = opinions(said, incident, signal);
  header(incident);
  fill(main, head, h("div", { class: "alarm-grid" }, sound, h("div", { class: "side" }, said, about)));
  if (incident.sound) soundOf(sound, incident, signal);
  else
    sound.append(h("p", { class: "hint" }, incident.kind === "trouble" ? T.alarm.noSoundOfTrouble : T.alarm.noSound));
  on(
    "incident",
    (news) => {
      if (news.id !== id) return;
      header(news);
      opinion(news.notes);
    },
    signal,
  );
  on(
    "note",
    (news) =>
      news.incident === id &&
      api
        .incident(id, signal)
        .then((now) => opinion(now.notes))
        .catch(() => {}),
    signal,
  );
  return `${T.kinds[incident.kind]}, ${machine}`;
}

/** The panel of what people say; gives a function that takes the notes anew. */
function opinions(panel, incident, signal) {
  const list = h("div", { tabindex: -1 });
  const proposal = h("div");
  const undone = ({ threshold }) => {
    const back = threshold && T.note.back(figure(threshold.before), figure(threshold.after));
    fill(proposal, back ? h("p", { class: "said-it" }, back) : null);
    reload();
  };
  const refresh = (notes) => {
    const focused = list.contains(document.activeElement);
    fill(list, noteList(notes, undone));
    if (focused) list.focus();
  };
  const reload = async () => {
    const now = await api.incident(incident.id, signal).catch(() => null);
    if (now) refresh(now.notes);
  };
  const done = (answer) => {
    fill(proposal, answer.proposal ? proposalOf(incident.machine, answer.proposal, reload) : null);
    proposal.firstChild?.focus();
    reload();
  };
  fill(
    panel,
    h("h2", { id: "said-title" }, T.note.title),
    noteForm({ machine: incident.machine, incident: incident.id }, done),
    proposal,
    list,
  );
  refresh(incident.notes);
  return refresh;
}

async function soundOf(panel, incident, signal) {
  const { seconds } = incident.sound;
  let drawn = null;
  const main = player(api.sound(incident.id), {
    label: T.alarm.thisSound,
    seconds,
    moved: (now) => drawn?.at(now),
    signal,
  });
  const place = h("div", { class: "picture-place" }, h("p", { class: "loading", role: "status" }, T.alarm.computing));
  const below = h("div");
  panel.append(main.element, place, below);
  addEventListener(
    "keydown",
    (event) => {
      const on_ = event.target.closest?.("button, a");
      if (event.key !== " " || typing(event) || on_) return;
      event.preventDefault();
      main.turn();
    },
    { signal },
  );
  let found;
  try {
    found = await api.evidence(incident.id, signal);
  } catch (error) {
    if (error instanceof ApiError)
      fill(place, h("p", { class: "hint", role: "alert" }, T.alarm.noEvidence, " ", error.message));
    return;
  }
  drawn = picture(found, {
    label: T.alarm.pictureLabel(seconds.toFixed(0), found.words || incident.words),
    before: incident.sound.before,
    seek: (at) => main.to(at),
    signal,
  });
  const controls = [
    drawn.hasEvidence ? toggle(T.alarm.showEvidence, true, drawn.evidence) : null,
    h(
      "button",
      {
        class: "button small",
        type: "button",
        on: {
          click: () => {
            main.to(found.window_start);
            main.play();
          },
        },
      },
      T.alarm.playWorst,
    ),
  ];
  fill(
    place,
    drawn.element,
    h(
      "div",
      { class: "picture-foot" },
      legend(found.spectrogram, drawn.hasEvidence && T.evidenceMeans),
      h("div", { class: "row" }, controls),
    ),
  );
  fill(below, differences(found.differences), nearest(incident, found, signal));
}

function differences(found) {
  if (!found?.length) return null;
  return [
    h("h3", {}, T.alarm.differs),
    h(
      "ul",
      { class: "differences" },
      found.map((one) => h("li", {}, one.sentence)),
    ),
  ];
}

function nearest(incident, found, signal) {
  if (!found.nearest) return h("p", { class: "hint" }, T.alarm.noNearest);
  const other = player(api.nearest(incident.id), { label: T.alarm.nearestSound, signal, gain: false });
  return [
    h("h3", {}, T.alarm.nearest),
    h("p", { class: "hint" }, T.alarm.nearestHow, " ", h("code", {}, found.nearest.file)),
    other.element,
  ];
}
