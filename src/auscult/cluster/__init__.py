"""A Ray cluster as the place where jobs run, when one machine is not enough."""

from auscult.cluster.connection import cluster_device, connected
from auscult.cluster.executor import RayExecutor

__all__ = ["RayExecutor", "cluster_device", "connected"]
