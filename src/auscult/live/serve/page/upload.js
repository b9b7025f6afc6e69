// A recording from a file: its score, and in what it differs.
import { api, newest } from "./api.js";
import { fill, h } from "./dom.js";
import { figure, size } from "./format.js";
import { announce } from "./frame.js";
import { facts, toggle } from "./parts.js";
import { legend, picture } from "./picture.js";
import { player } from "./player.js";
import { T } from "./texts.js";

/** The panel of a machine. */
export function upload(machine, { signal }) {
  const result = h("div", { class: "upload-result", "aria-live": "polite" });
  const input = h("input", { type: "file", accept: ".wav,.flac,.ogg", id: "upload" });
  const drop = h(
    "div",
    { class: "drop" },
    h("label", { for: "upload" }, T.upload.choose),
    input,
    h("p", { class: "hint" }, T.upload.how),
  );
  const last = newest();
  const send = async (file) => {
    if (!file) return;
    fill(result, h("p", { class: "loading", role: "status" }, T.upload.scoring(file.name, size(file.size))));
    try {
      const found = await last(api.score(machine.name, file, signal));
      if (!found) return;
      shown(result, found, file, signal);
      announce(T.upload.done(figure(found.score), T.upload.decisions[found.decision] ?? found.decision));
    } catch (error) {
      if (!signal.aborted) fill(result, h("p", { class: "wrong-input", role: "alert" }, error.message));
    }
  };
  input.addEventListener("change", () => send(input.files[0]));
  drop.addEventListener("dragover", (event) => {
    event.preventDefault();
    drop.classList.add("over");
  });
  drop.addEventListener("dragleave", () => drop.classList.remove("over"));
  drop.addEventListener("drop", (event) => {
    event.preventDefault();
    drop.classList.remove("over");
    send(event.dataTransfer.files[0]);
  });
  return h(
    "section",
    { class: "panel panel-upload", "aria-labelledby": "upload-title" },
    h("h2", { id: "upload-title" }, T.upload.title),
    drop,
    result,
  );
}

function shown(result, found, file, signal) {
  const source = URL.createObjectURL(file);
  signal.addEventListener("abort", () => URL.revokeObjectURL(source));
  const seconds = found.seconds ?? 0;
  let drawing = null;
  const sound = player(source, { label: file.name, seconds, moved: (now) => drawing?.at(now), signal });
  if (found.spectrogram) {
    drawing = picture(found, {
      label: T.alarm.pictureLabel(seconds.toFixed(0), found.words),
      seek: (at) => sound.to(at),
      signal,
    });
  }
  fill(
    result,
    h(
      "p",
      { class: "upload-score" },
      h("strong", {}, figure(found.score)),
      " ",
      found.threshold === null ? T.noThreshold : T.ofThreshold(figure(found.threshold)),
    ),
    h(
      "p",
      {},
      h("strong", {}, T.upload.decisions[found.decision] ?? found.decision),
      found.words ? `: ${found.words}` : "",
    ),
    found.reason ? h("p", { class: "hint" }, found.reason) : null,
    sound.element,
    drawing
      ? [
          drawing.element,
          h(
            "div",
            { class: "picture-foot" },
            legend(found.spectrogram, drawing.hasEvidence && T.evidenceMeans),
            drawing.hasEvidence ? toggle(T.alarm.showEvidence, true, drawing.evidence) : null,
          ),
        ]
      : null,
    facts([
      [T.upload.windows, found.windows],
      [T.upload.chance, found.p_value === null || found.p_value === undefined ? null : figure(found.p_value)],
    ]),
  );
}
