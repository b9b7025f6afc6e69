"""One self-contained page about a run: tables, curves, and the most anomalous clips to see and to hear."""
