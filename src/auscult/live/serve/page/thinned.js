// Fewer, longer steps, where there are more of them than pixels: nothing that was high is lost.

/** Scores as the server gives them, in at most `most` steps. */
export function thinned(scores, most) {
  const join = Math.ceil(scores.time.length / Math.max(1, most));
  if (join < 2) return scores;
  const step = scores.step * join;
  const found = {
    step,
    time: [],
    low: [],
    mean: [],
    high: [],
    count: [],
    scored: [],
    above: [],
    thresholds: scores.thresholds,
  };
  let first = 0;
  for (let at = 1; at <= scores.time.length; at++) {
    if (at < scores.time.length && Math.floor(scores.time[at] / step) === Math.floor(scores.time[first] / step))
      continue;
    joined(found, scores, first, at, Math.floor(scores.time[first] / step) * step);
    first = at;
  }
  return found;
}

function joined(found, scores, first, end, time) {
  const part = (name) => scores[name].slice(first, end);
  const known = (name) => part(name).filter((one) => one !== null);
  const sum = (name) => part(name).reduce((all, one) => all + one, 0);
  const scored = sum("scored");
  const total = part("mean").reduce((all, one, k) => all + (one ?? 0) * scores.scored[first + k], 0);
  found.time.push(time);
  found.low.push(known("low").length ? Math.min(...known("low")) : null);
  found.high.push(known("high").length ? Math.max(...known("high")) : null);
  found.mean.push(scored ? total / scored : null);
  found.scored.push(scored);
  for (const name of ["count", "above"]) found[name].push(sum(name));
}
