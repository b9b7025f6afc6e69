"""Metrics for Prometheus: counters of what happened, and the state of the machines as it is when it is asked for."""

import time
from collections.abc import Callable, Iterator, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from auscult import __version__
from auscult.live.serve.machines import Listening

STATES = ("starting", "normal", "warning", "alarm", "trouble", "waiting", "stopped", "upload")
GAUGES = {
    "score": ("auscult_score", "Score of the last window; higher is more abnormal."),
    "threshold": ("auscult_threshold", "A window is above it when its score is greater."),
    "warning": ("auscult_warning_threshold", "The same for warnings, where there is such a level."),
    "last_window": ("auscult_last_window_timestamp_seconds", "When the last window ended, by the machine's clock."),
    "heard_seconds": ("auscult_heard_seconds", "Sound that was heard since monitoring began."),
}
"""Attributes of `Live` -> the metric, and what it is."""


class Metrics:
    """All metrics of a server.

    Args:
        machines: name -> machine.
        storage: gives the bytes of the history, those that are free, and what is wrong with it.
    """

    def __init__(self, machines: Mapping[str, Listening], storage: Callable[[], tuple[int, int, str | None]]) -> None:
        self.registry = CollectorRegistry()
        self._machines, self._storage = machines, storage
        label = ["machine"]
        self._windows = Counter("auscult_windows", "Windows that were heard.", label, registry=self.registry)
        self._incidents = Counter(
            "auscult_incidents", "Alarms, warnings and troubles raised.", ["machine", "kind"], registry=self.registry
        )
        self._uploads = Counter("auscult_uploads", "Recordings sent in.", ["result"], registry=self.registry)
        self._seconds = Histogram(
            "auscult_upload_seconds",
            "From the last byte of a recording to its score.",
            buckets=(0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30),
            registry=self.registry,
        )
        info = Gauge("auscult_build_info", "The version.", ["version"], registry=self.registry)
        info.labels(__version__).set(1)
        for name in machines:
            self._windows.labels(name)
            for kind in ("alarm", "warning", "trouble"):
                self._incidents.labels(name, kind)
        for result in ("scored", "refused", "failed"):
            self._uploads.labels(result)
        self.registry.register(self)

    def window(self, machine: str) -> None:
        """A window was heard."""
        self._windows.labels(machine).inc()

    def incident(self, machine: str, kind: str, phase: str) -> None:
        """Something was raised, noted or cleared."""
        if phase != "cleared":
            self._incidents.labels(machine, kind).inc()

    def upload(self, result: str, begun: float | None = None) -> None:
        """A recording was scored, refused or failed; `begun` by `time.monotonic`."""
        self._uploads.labels(result).inc()
        if begun is not None:
            self._seconds.observe(time.monotonic() - begun)

    def text(self) -> bytes:
        """As Prometheus reads it."""
        return generate_latest(self.registry)

    def collect(self) -> Iterator[Metric]:
        """The state of the machines and of the disk, now."""
        for attribute, (name, meaning) in GAUGES.items():
            family = GaugeMetricFamily(name, meaning, labels=["machine"])
            for one in self._machines.values():
                if (value := getattr(one.live, attribute)) is not None:
                    family.add_metric([one.name], value)
            yield family
        states = GaugeMetricFamily("auscult_state", "1 for the present state.", labels=["machine", "state"])
        active = GaugeMetricFamily("auscult_alarm_active", "Whether an alarm lasts.", labels=["machine"])
        again = "How often its listener was started again."
        restarts = CounterMetricFamily("auscult_listener_restarts", again, labels=["machine"])
        for one in self._machines.values():
            for state in STATES:
                states.add_metric([one.name, state], float(one.live.state == state))
            active.add_metric([one.name], float(one.live.state == "alarm"))
            restarts.add_metric([one.name], one.live.restarts)
        yield from (states, active, restarts)
        size, free, problem = self._storage()
        yield GaugeMetricFamily("auscult_history_bytes", "Size of the history.", value=size)
        yield GaugeMetricFamily("auscult_free_bytes", "Left on its disk.", value=free)
        wrong = float(problem is not None)
        yield GaugeMetricFamily("auscult_history_problem", "Whether the disk needs somebody.", value=wrong)
