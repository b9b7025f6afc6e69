// Times, durations and figures as people read them. Local time with the date; UTC as the tooltip.
import { h } from "./dom.js";
import { T } from "./texts.js";

const LOCALE = "en-GB";
const form = (options) => new Intl.DateTimeFormat(LOCALE, options);
const HOUR = form({ hour: "2-digit", minute: "2-digit" });
const SECOND = form({ hour: "2-digit", minute: "2-digit", second: "2-digit" });
const DAY = form({ day: "numeric", month: "short" });
const YEAR = form({ day: "numeric", month: "short", year: "numeric" });
const LONG = form({ weekday: "long", day: "numeric", month: "long", year: "numeric" });

const date = (seconds) => new Date(seconds * 1000);
const dayOf = (moment) => `${moment.getFullYear()}-${moment.getMonth()}-${moment.getDate()}`;

/** Whether two times are of the same local day. */
export const sameDay = (a, b) => dayOf(date(a)) === dayOf(date(b));

/** "04:12" today, "28 Nov, 04:12" this year, with the year otherwise; without the hour more than a day from `near`. */
export function when(seconds, { seconds: fine = false, always = false, near = null } = {}) {
  const moment = date(seconds);
  const clock = (fine ? SECOND : HOUR).format(moment);
  if (!always && dayOf(moment) === dayOf(new Date())) return clock;
  const day = (moment.getFullYear() === new Date().getFullYear() ? DAY : YEAR).format(moment);
  return near !== null && Math.abs(near - seconds) > 86400 ? day : `${day}, ${clock}`;
}

export const clock = (seconds, fine = false) => (fine ? SECOND : HOUR).format(date(seconds));
export const day = (seconds) => LONG.format(date(seconds));
const utc = (seconds) => `${date(seconds).toISOString().slice(0, 19).replace("T", " ")} UTC`;

/** A `time` element: local, with the date, UTC as its tooltip. */
export function time(seconds, options = {}) {
  const text = options.clock ? clock(seconds, options.seconds) : when(seconds, options);
  return h("time", { datetime: date(seconds).toISOString(), title: utc(seconds) }, text);
}

/** A duration: "40 s", "12 min", "3 h 20 min", "2 d 4 h". */
export function duration(seconds) {
  if (seconds < 1) return T.shorter;
  const whole = Math.round(seconds);
  if (whole < 120 && whole !== 60) return `${whole} s`;
  const minutes = Math.round(whole / 60);
  if (minutes < 120 && minutes !== 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return minutes % 60 ? `${hours} h ${minutes % 60} min` : `${hours} h`;
  const days = Math.floor(hours / 24);
  return hours % 24 && days < 10 ? `${days} d ${hours % 24} h` : `${days} d`;
}

/** A score: three figures that count. */
export function figure(value) {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  const size = Math.abs(value);
  const digits = size >= 100 ? 0 : size >= 10 ? 1 : 2;
  return (size >= 0.1 || size === 0 ? value.toFixed(digits) : value.toPrecision(2)).replace("-", "−");
}

/** Bytes: "1.2 GB". */
export function size(count) {
  const units = ["bytes", "kB", "MB", "GB", "TB"];
  let step = 0;
  for (; count >= 1000 && step < units.length - 1; step++) count /= 1000;
  return `${step && count < 100 ? count.toPrecision(2) : Math.round(count)} ${units[step]}`;
}

/** "0:07" of a sound. */
export const place = (seconds) => `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, "0")}`;

/** A time for `<input type="datetime-local" step=1>`, local; and back. */
export function toInput(seconds) {
  const moment = date(seconds);
  return new Date(moment - moment.getTimezoneOffset() * 60000).toISOString().slice(0, 19);
}

export const fromInput = (text) => (text ? new Date(text).getTime() / 1000 : null);
