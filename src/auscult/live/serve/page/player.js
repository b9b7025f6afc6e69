// A player of one sound: play, seek, and louder for what is quiet. One sound plays at a time.
import { fill, h, kept, say } from "./dom.js";
import { place } from "./format.js";
import { choice } from "./parts.js";
import { icon } from "./signs.js";
import { T } from "./texts.js";

const GAINS = { 0: 1, 12: 4, 24: 16 }; // decibels -> factor

let playing = null;
let context = null;

/** Stops what plays, unless it is this: called before anything is played. */
export function alone(audio) {
  if (playing && playing !== audio) playing.pause();
  playing = audio;
}

/** A player. `moved` gets the second at which it is; `seconds` is its length, as long as the file has not said it;
 * `gain`: with the choice of how loud, which holds for all players. */
export function player(source, { label, seconds = 0, moved = null, gain = true, signal }) {
  const audio = new Audio();
  audio.preload = "metadata";
  audio.src = source;
  const button = h(
    "button",
    { class: "play", type: "button", "aria-label": T.play(label), on: { click: () => turn() } },
    icon("play"),
  );
  const seek = h("input", {
    class: "seek",
    type: "range",
    min: 0,
    max: seconds || 1,
    step: 0.1,
    value: 0,
    "aria-label": T.seek(label),
  });
  const clock = h("span", { class: "player-clock" }, `0:00 / ${place(seconds)}`);
  const wrong = h("span", { class: "wrong-input", role: "alert" });
  const length = () => (Number.isFinite(audio.duration) && audio.duration) || seconds;
  const louder = amplifier(audio);

  const turn = () => (audio.paused ? play() : audio.pause());
  async function play() {
    alone(audio);
    louder.set(kept.get("gain", "0"));
    try {
      await audio.play();
    } catch (error) {
      if (error.name !== "AbortError") say(wrong, T.unplayable);
    }
  }
  const show = () => {
    const now = audio.currentTime;
    seek.max = length();
    seek.value = now;
    seek.setAttribute("aria-valuetext", T.secondsOf(now.toFixed(1), length().toFixed(1)));
    seek.style.setProperty("--done", `${(now / (length() || 1)) * 100}%`);
    say(clock, `${place(now)} / ${place(length())}`);
    moved?.(now);
  };
  let frame = 0;
  const follow = () => {
    show();
    frame = requestAnimationFrame(follow);
  };
  const state = () => {
    cancelAnimationFrame(frame);
    fill(button, icon(audio.paused ? "play" : "pause"));
    button.setAttribute("aria-label", (audio.paused ? T.play : T.pause)(label));
    if (!audio.paused) follow();
    else show();
  };
  for (const event of ["play", "pause", "ended"]) audio.addEventListener(event, state);
  for (const event of ["loadedmetadata", "seeked"]) audio.addEventListener(event, show);
  audio.addEventListener("error", () => say(wrong, T.unplayable));
  seek.addEventListener("input", () => {
    audio.currentTime = Number(seek.value);
  });
  addEventListener("auscult-gain", () => !audio.paused && louder.set(kept.get("gain", "0")), { signal });
  signal.addEventListener("abort", () => {
    cancelAnimationFrame(frame);
    audio.pause();
    audio.removeAttribute("src");
    louder.end();
  });
  const gains = gain
    ? choice(
        T.gain,
        Object.keys(GAINS).map((one) => [one, T.gains[one], T.gainTip]),
        kept.get("gain", "0"),
        (one) => {
          kept.set("gain", one);
          dispatchEvent(new CustomEvent("auscult-gain"));
        },
        { small: true },
      )
    : null;
  const element = h("div", { class: "player", role: "group", "aria-label": label }, button, seek, clock, gains, wrong);
  return {
    element,
    turn,
    play,
    audio,
    to(time) {
      audio.currentTime = Math.max(0, Math.min(time, length()));
      show();
    },
  };
}

/** Makes an element of sound louder through WebAudio, with a limiter behind it, once that is asked for. */
function amplifier(audio) {
  let gain = null,
    source = null,
    limiter = null;
  return {
    set(decibels) {
      if (!gain && decibels === "0") return;
      if (!gain) {
        context ??= new AudioContext();
        source = context.createMediaElementSource(audio);
        gain = context.createGain();
        limiter = new DynamicsCompressorNode(context, {
          threshold: -6,
          knee: 3,
          ratio: 20,
          attack: 0.002,
          release: 0.1,
        });
        source.connect(gain).connect(limiter).connect(context.destination);
      }
      context.resume();
      gain.gain.value = GAINS[decibels] ?? 1;
    },
    end() {
      for (const node of [source, gain, limiter]) node?.disconnect();
    },
  };
}
