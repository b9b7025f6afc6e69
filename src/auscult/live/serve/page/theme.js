// The chosen theme, set before anything is drawn. A classic script: it blocks, and is one line.
try {
  document.documentElement.dataset.theme = localStorage.getItem("auscult-theme") || "auto";
} catch {
  /* no storage */
}
