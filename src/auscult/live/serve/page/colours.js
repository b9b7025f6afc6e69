// Colours of pictures: sound from dark blue to pale, evidence over it in orange. Readable without telling red from green.

const STOPS = [
  [8, 14, 28],
  [20, 40, 78],
  [38, 84, 128],
  [92, 148, 172],
  [178, 208, 212],
  [246, 248, 244],
];
const EVIDENCE = [255, 122, 26];
const FAINT = 0.25; // share of the map's range below which nothing is shown
const FULL = 0.6; // and from which on it is opaque

const SOUND = table((share) => {
  const place = share * (STOPS.length - 1),
    below = Math.min(Math.floor(place), STOPS.length - 2),
    part = place - below;
  return [...STOPS[below].map((one, k) => one + (STOPS[below + 1][k] - one) * part), 255];
});
const OVER = table((share) => [...EVIDENCE, 235 * Math.min(1, Math.max(0, (share - FAINT) / (FULL - FAINT)))]);

function table(colour) {
  const found = new Uint32Array(256);
  for (let value = 0; value < 256; value++) {
    const [red, green, blue, alpha] = colour(value / 255).map(Math.round);
    found[value] = ((alpha << 24) | (blue << 16) | (green << 8) | red) >>> 0;
  }
  return found;
}

/** A picture of a grid's bytes, a pixel for each frame and band, low bands at the bottom. */
export function painted(values, { frames, bands }, { evidence = false } = {}) {
  const colours = evidence ? OVER : SOUND;
  if (evidence) values = smoothed(values, frames, bands);
  const image = new ImageData(frames, bands);
  const pixels = new Uint32Array(image.data.buffer);
  for (let frame = 0; frame < frames; frame++) {
    for (let band = 0; band < bands; band++)
      pixels[(bands - 1 - band) * frames + frame] = colours[values[frame * bands + band]];
  }
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [frames, bands];
  canvas.getContext("2d").putImageData(image, 0, 0);
  return canvas;
}

/** The mean of each cell and its neighbours: single cells of a map are noise, and hide what belongs together. */
function smoothed(values, frames, bands) {
  const found = new Uint8Array(values.length);
  for (let frame = 0; frame < frames; frame++) {
    for (let band = 0; band < bands; band++) {
      let sum = 0,
        count = 0;
      for (let x = Math.max(0, frame - 1); x <= Math.min(frames - 1, frame + 1); x++) {
        for (let y = Math.max(0, band - 1); y <= Math.min(bands - 1, band + 1); y++, count++)
          sum += values[x * bands + y];
      }
      found[frame * bands + band] = sum / count;
    }
  }
  return found;
}

/** The darkest colour of sounds: where there is none. */
export const SILENCE = `rgb(${STOPS[0].join(" ")})`;

const LINEAR = 200 / 3,
  KNEE = 1000,
  STEP = Math.log(6.4) / 27; // Slaney's mel: linear below 1 kHz, logarithmic above
const mel = (hz) => (hz < KNEE ? hz / LINEAR : KNEE / LINEAR + Math.log(hz / KNEE) / STEP);

/** Where frequencies stand in a picture from `low` to `high` Hz: pairs of a label in kHz and a share from the bottom. */
export function frequencies(low, high) {
  const found = [];
  for (const khz of [16, 8, 4, 2, 1, 0.5, 0.25]) {
    const share = (mel(khz * 1000) - mel(low)) / (mel(high) - mel(low));
    if (share > 0.01 && share < 0.99 && (!found.length || found.at(-1)[1] - share > 0.09))
      found.push([String(khz), share]);
  }
  return found;
}
