"""A toy metric: normal clips of one domain against all anomalies. Add it: `METRICS["auc_near"] = METRIC`."""

import numpy as np

from auscult.scores.metrics import Domains, Labels, Metric, auc


def source_auc(labels: Labels, domains: Domains, scores: np.ndarray) -> float | None:
    wanted = labels if domains is None else labels | (domains == "source")
    return auc(labels[wanted], scores[wanted]) if not labels[wanted].all() else None


METRIC = Metric("AUC near", "AUC of the normal clips of the domain source", source_auc)
