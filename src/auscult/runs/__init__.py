"""Runs: a recipe and clips become jobs, the jobs artefacts, and these results."""
