"""Scoring with a system of members: one sound, or any number of files in bounded memory."""

from auscult.scoring.parts import Part, Scored, Unscored
from auscult.scoring.scorer import Scorer

__all__ = ["Part", "Scored", "Scorer", "Unscored"]
