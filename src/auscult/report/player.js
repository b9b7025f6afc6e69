// One sound at a time; a line runs through a clip's maps while it plays, and a click on a map plays from there.
const players = [...document.querySelectorAll(".card audio")];
for (const player of players) {
  const card = player.closest(".card");
  const views = [...card.querySelectorAll(".times")].map((view) => {
    const start = Number(view.dataset.start);
    return { view, start, span: Number(view.dataset.end) - start };
  });
  const draw = () => {
    for (const { view, start, span } of views) {
      view.style.setProperty("--now", `${(100 * (player.currentTime - start)) / span}%`);
    }
    if (!player.paused) requestAnimationFrame(draw);
  };
  player.addEventListener("play", () => {
    players.filter((other) => other !== player).forEach((other) => other.pause());
    card.classList.add("heard");
    draw();
  });
  player.addEventListener("seeked", draw);
  if ("beside" in player.dataset) continue; // a click plays the clip itself
  for (const { view, start, span } of views) {
    for (const canvas of view.querySelectorAll(".canvas")) {
      canvas.classList.add("playable");
      canvas.addEventListener("click", (event) => {
        const box = canvas.getBoundingClientRect();
        player.currentTime = Math.max(0, start + (span * (event.clientX - box.left)) / box.width);
        player.play();
      });
    }
  }
}
addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((fold) => (fold.open = true)));
