"""A Ray cluster as the place where jobs run, when one machine is not enough."""

from auscult.runs.cluster.connection import cluster_device, connected
from auscult.runs.cluster.executor import RayExecutor

__all__ = ["RayExecutor", "cluster_device", "connected"]
