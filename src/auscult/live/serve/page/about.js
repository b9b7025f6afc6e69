// What runs here: version, room on the disk, where programs find the same data.
import { api } from "./api.js";
import { fill, h } from "./dom.js";
import { duration, size, time } from "./format.js";
import { problems } from "./frame.js";
import { facts } from "./parts.js";
import { T } from "./texts.js";

export async function show(main, { signal }) {
  const status = await api.status(signal);
  problems(status);
  const { storage, limits } = status;
  const link = (href, text, what) => h("li", {}, h("a", { href }, text), h("span", { class: "hint" }, what));
  const leave = async () => {
    await api.logout();
    location.reload();
  };
  fill(
    main,
    h("h1", { tabindex: -1 }, T.about.title),
    h(
      "div",
      { class: "columns" },
      h(
        "section",
        { class: "panel", "aria-labelledby": "about-server" },
        h("h2", { id: "about-server" }, T.about.server),
        facts([
          [T.about.version, status.version],
          [T.about.clock, time(status.time, { seconds: true, always: true })],
          [T.about.machines, status.machines.length],
          [T.about.history, size(storage.bytes)],
          [T.about.free, size(storage.free_bytes)],
          [T.about.disk, storage.problem || T.about.fine],
          [T.about.uploads, T.about.uploadLimit(size(limits.upload_bytes), duration(limits.upload_seconds))],
        ]),
      ),
      h(
        "section",
        { class: "panel", "aria-labelledby": "about-data" },
        h("h2", { id: "about-data" }, T.about.data),
        h(
          "ul",
          { class: "links" },
          link("openapi.json", T.about.openapi, T.about.openapiWhat),
          link("metrics", T.about.metrics, T.about.metricsWhat),
          link("health", T.about.health, T.about.healthWhat),
        ),
        status.access?.token
          ? h("button", { class: "button", on: { click: leave } }, T.login.leave)
          : h("p", { class: "hint" }, T.about.open),
      ),
    ),
  );
  return T.about.title;
}
