"""The estimate: what a plan will cost in time, memory on disk and parameters, from rates measured on this machine."""

from auscult.runs.estimate.rates import Estimate, estimate, measure_rates
from auscult.runs.estimate.sizes import BankSize, n_parameters, sizes_of, too_short
from auscult.runs.estimate.work import Work, work_of

__all__ = [
    "BankSize",
    "Estimate",
    "Work",
    "estimate",
    "measure_rates",
    "n_parameters",
    "sizes_of",
    "too_short",
    "work_of",
]
