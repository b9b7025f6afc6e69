"""The synthetic factory: machines, their faults and the noise around them, for tests and first experiments."""

from auscult.datasets.factory.day import write_day
from auscult.datasets.factory.disk import write_factory

__all__ = ["write_day", "write_factory"]
