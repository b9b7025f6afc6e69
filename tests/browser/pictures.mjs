// The pictures of the docs: node pictures.mjs BASE MACHINE FOLDER; then make them small:
// python -c "import sys; from PIL import Image; [Image.open(f).convert('RGB').quantize(200, dither=0).save(f, optimize=True) for f in sys.argv[1:]]" FOLDER/*.png
import { launch, opened } from "./browser.mjs";

const [base, machine, folder] = process.argv.slice(2);
const wrong = [];
const browser = await launch();
const { incidents } = await (await fetch(`${base}/api/incidents?kind=alarm`)).json();
const told = incidents.sort((one, other) => other.words.length - one.words.length)[0];
const alarm = `#/alarm/${encodeURIComponent(told.id)}`;

const PICTURES = [
  ["machines-light", "#/", {}, ".spark", 720],
  ["machines-dark", "#/", { scheme: "dark" }, ".spark", 720],
  ["machine", `#/machine/${machine}`, {}, ".uplot", 1160],
  ["machine-dark", `#/machine/${machine}`, { scheme: "dark" }, ".uplot", 1160],
  ["alarms", "#/alarms", {}, ".row-link", 900],
  ["alarm", alarm, {}, ".picture canvas", 900],
  ["alarm-dark", alarm, { scheme: "dark" }, ".picture canvas", 900],
  ["phone", "#/", { size: "phone" }, ".spark", 844],
  ["phone-alarm", alarm, { size: "phone", scheme: "dark" }, ".picture canvas", 844],
];

for (const [name, hash, options, ready, height] of PICTURES) {
  const page = await opened(browser, base, wrong, options);
  await page.setViewportSize({ width: page.viewportSize().width, height });
  await page.goto(`${base}/${hash}`);
  await page.waitForSelector(ready, { timeout: 60_000 });
  await page.waitForTimeout(Number(process.env.AUSCULT_PICTURE_SECONDS ?? 5) * 1000); // sound that scrolls in
  await page.screenshot({ path: `${folder}/serve-${name}.png` });
  await page.context().close();
}
await browser.close();
for (const one of wrong) console.log(one);
