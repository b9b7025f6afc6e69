"""The deployable: what was learned about some machines, in one file that scores their sounds."""

from auscult.detector.contents import Machine
from auscult.detector.detector import Detector
from auscult.detector.scoring import Score
from auscult.members.part import Part

__all__ = ["Detector", "Machine", "Part", "Score"]
