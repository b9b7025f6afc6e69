// What people say of a moment: normal, a fault, a remark; what follows from it; and how it is taken back.
import { api } from "./api.js";
import { fill, h, kept, say } from "./dom.js";
import { figure, fromInput, time, toInput } from "./format.js";
import { announce } from "./frame.js";
import { T } from "./texts.js";

let forms = 0;

/**
 * A form. `about`: {machine, incident} or {machine, start, end}, of which start and end can be changed; `done` gets the
 * answer of the server.
 */
export function noteForm(about, done) {
  const id = `note-${++forms}`;
  const text = h("textarea", { id: `${id}-text`, rows: 2, maxlength: 2000, placeholder: T.note.example });
  const author = h("input", { id: `${id}-author`, value: kept.get("name"), autocomplete: "name", maxlength: 64 });
  const wrong = h("p", { class: "wrong-input", role: "alert" });
  const span = about.incident
    ? null
    : ["start", "end"].map((name) =>
        h("input", {
          id: `${id}-${name}`,
          type: "datetime-local",
          step: 1,
          value: toInput(about[name]),
          required: true,
        }),
      );
  const buttons = [];
  const say_ = async (verdict) => {
    say(wrong, "");
    if (verdict === "remark" && !text.value.trim()) {
      say(wrong, T.note.empty);
      return text.focus();
    }
    const note = { machine: about.machine, verdict, text: text.value.trim(), author: author.value.trim() };
    if (span) [note.start, note.end] = span.map((one) => fromInput(one.value));
    else note.incident = about.incident;
    if (span && !(note.start <= note.end)) return say(wrong, T.note.backwards);
    kept.set("name", note.author);
    for (const one of buttons) one.disabled = true;
    try {
      const answer = await api.addNote(note);
      text.value = "";
      announce(T.note.said[verdict]);
      done(answer);
    } catch (error) {
      say(wrong, error.message);
    }
    for (const one of buttons) one.disabled = false;
    return null;
  };
  for (const verdict of ["normal", "fault", "remark"]) {
    buttons.push(
      h(
        "button",
        {
          type: "button",
          class: `button verdict-${verdict}`,
          title: T.note.tips[verdict],
          on: { click: () => say_(verdict) },
        },
        T.note.buttons[verdict],
      ),
    );
  }
  const field = (name, label, input) =>
    h("div", { class: `field field-${name}` }, h("label", { for: input.id }, label), input);
  return h(
    "form",
    { class: "note-form", on: { submit: (event) => event.preventDefault() } },
    span ? [field("start", T.note.from, span[0]), field("end", T.note.to, span[1])] : null,
    field("text", T.note.text, text),
    field("author", T.note.author, author),
    h("div", { class: "verdicts verdicts-three" }, buttons),
    wrong,
  );
}

/** The notes that were said, the newest first, each with its undo. `changed` gets the answer of an undo. */
export function noteList(notes, changed) {
  if (!notes.length) return h("p", { class: "hint" }, T.note.none);
  const newest = [...notes].sort((a, b) => b.said - a.said);
  return h(
    "ul",
    { class: "notes" },
    newest.map((note) => noteItem(note, changed)),
  );
}

function noteItem(note, changed) {
  const wrong = h("p", { class: "wrong-input", role: "alert" });
  let asked = false; // and not disabled: that would take the focus away
  const undo = async () => {
    if (asked) return;
    asked = true;
    try {
      const answer = await api.undo(note.number, kept.get("name"));
      const moved = answer.threshold;
      announce(T.note.undone + (moved ? ` ${T.note.back(figure(moved.before), figure(moved.after))}` : ""));
      changed(answer);
    } catch (error) {
      asked = false;
      say(wrong, error.message);
    }
  };
  const gone = note.undone !== null && note.undone !== undefined;
  return h(
    "li",
    { class: `note note-${note.verdict}${gone ? " note-undone" : ""}`, "data-number": note.number },
    h(
      "p",
      { class: "note-head" },
      h("strong", {}, T.note.verdicts[note.verdict]),
      " ",
      h("span", { class: "hint" }, note.author || T.note.nobody, ", ", time(note.said)),
    ),
    note.text ? h("p", { class: "note-text" }, note.text) : null,
    note.incident
      ? null
      : h(
          "p",
          { class: "hint" },
          T.note.of,
          " ",
          time(note.start, { seconds: true, always: true }),
          " ",
          T.note.until,
          " ",
          time(note.end, { clock: true, seconds: true }),
        ),
    note.verdict === "fault" ? h("p", { class: "hint" }, note.heard ? T.note.heard : T.note.missed) : null,
    gone
      ? h("p", { class: "hint" }, T.note.undoneBy(note.undone_by || T.note.nobody), " ", time(note.undone))
      : h(
          "button",
          {
            class: "button small",
            type: "button",
            "aria-label": T.note.undoLabel(T.note.verdicts[note.verdict]),
            on: { click: undo },
          },
          T.note.undo,
        ),
    wrong,
  );
}

/** What the server proposes after "normal": the threshold before and after, the reason, and the choice. */
export function proposalOf(machine, proposal, taken) {
  const panel = h("section", { class: "proposal", "aria-label": T.proposal.title, tabindex: -1 });
  const { before, after } = proposal;
  const same = after === null || after === before;
  const head = [
    h("h3", {}, same ? T.proposal.same(figure(before)) : proposal.kept ? T.proposal.quieter : T.proposal.title),
    h("p", {}, proposal.reason),
  ];
  if (same) return fill(panel, head);
  const wrong = h("p", { class: "wrong-input", role: "alert" });
  const done = (text) => {
    fill(panel, h("h3", {}, text), h("p", { class: "hint" }, T.proposal.undo));
    announce(text);
    panel.focus();
  };
  const take = async () => {
    try {
      const now = await api.threshold(machine, { note: proposal.note, threshold: after, author: kept.get("name") });
      done(T.proposal.taken(figure(now.after)));
      taken();
    } catch (error) {
      say(wrong, error.message);
    }
  };
  return fill(
    panel,
    head,
    h(
      "p",
      { class: "from-to" },
      h("span", {}, h("small", {}, T.proposal.now), figure(before)),
      h("span", { "aria-hidden": "true" }, "→"),
      h("span", { class: "to" }, h("small", {}, T.proposal.then), figure(after)),
    ),
    h(
      "p",
      { class: "verdicts" },
      h(
        "button",
        {
          class: proposal.kept ? "button" : "button primary",
          type: "button",
          "data-choice": "take",
          on: { click: take },
        },
        T.proposal.take(figure(after)),
      ),
      h(
        "button",
        {
          class: proposal.kept ? "button primary" : "button",
          type: "button",
          on: { click: () => done(T.proposal.kept(figure(before))) },
        },
        T.proposal.keep(figure(before)),
      ),
    ),
    wrong,
  );
}
