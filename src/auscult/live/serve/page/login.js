// Who opens the page: the token of the server, and the name that stands with their notes.
import { api } from "./api.js";
import { fill, h, kept, say } from "./dom.js";
import { banner } from "./frame.js";
import { T } from "./texts.js";

export async function show(main, { signal, again }) {
  banner("connection");
  const token = h("input", { id: "token", type: "password", autocomplete: "current-password", required: true });
  const name = h("input", { id: "name", autocomplete: "name", value: kept.get("name"), maxlength: 64 });
  const wrong = h("p", { class: "wrong-input", role: "alert" });
  const enter = async (event) => {
    event.preventDefault();
    say(wrong, "");
    try {
      await api.login(token.value.trim(), name.value.trim());
    } catch (error) {
      say(wrong, error.message);
      return token.focus();
    }
    kept.set("name", name.value.trim());
    if (location.pathname.endsWith("/login")) location.replace(`./${location.hash}`);
    else again();
    return null;
  };
  fill(
    main,
    h(
      "form",
      { class: "login panel", on: { submit: enter } },
      h("h1", { tabindex: -1 }, T.login.title),
      h("p", { class: "hint" }, T.login.hint),
      h("label", { for: "token" }, T.login.token),
      token,
      h("label", { for: "name" }, T.login.name),
      name,
      wrong,
      h("button", { class: "button primary" }, T.login.enter),
    ),
  );
  if (!signal.aborted) token.focus();
  return T.login.title;
}
