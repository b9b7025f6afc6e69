"""Scores: tables, pooling, metrics, intervals, ensembles. Nothing here needs torch."""
