"""One session of monitoring: source, history, outputs and screen put together, and taken apart when it ends."""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TextIO

from auscult.errors import MonitorError
from auscult.live.delivery import Delivery, Output
from auscult.live.history import History, Reader, Retention
from auscult.live.home_assistant import DISCOVERY_PREFIX, HomeAssistant
from auscult.live.json_lines import JsonLines
from auscult.live.monitor import Monitor
from auscult.live.mqtt import Mqtt, MqttAddress
from auscult.live.screens import Screens
from auscult.live.sources import SourceOptions, open_source
from auscult.live.summary import MonitorSummary
from auscult.live.terminal import Terminal
from auscult.live.watch import Watch, WindowScorer
from auscult.live.webhook import Webhook

LAST_SECONDS = 10.0
"""At the end of a source, how long the outputs may take for what they have not got; a second after a signal."""


@dataclass(frozen=True, slots=True)
class Outputs:
    """Where events go besides the history.

    Args:
        json: JSON lines on standard output, instead of text.
        windows: a JSON line for every window.
        mqtt: HOST[:PORT]/TOPIC.
        webhook: a URL.
        home_assistant: by MQTT, a device of Home Assistant.
    """

    json: bool = False
    windows: bool = False
    mqtt: str | None = None
    webhook: str | None = None
    home_assistant: bool = False

    def check(self) -> None:
        """Refuse what makes no sense.

        Raises:
            MonitorError: if it does not.
        """
        if self.windows and not self.json:
            raise MonitorError("--windows writes JSON lines; give --json too")
        if self.home_assistant and self.mqtt is None:
            raise MonitorError("--home-assistant is told by MQTT; give --mqtt HOST[:PORT]/TOPIC too")

    def screen(self, stream: TextIO, watch: Watch, refused: Callable[[OSError], None]) -> JsonLines | Terminal:
        """The output on the stream; `refused` is called when it does not take a line."""
        if self.json:
            return JsonLines(stream, windows=self.windows, refused=refused)
        return Terminal(
            stream,
            threshold=watch.threshold,
            warning=watch.warning,
            spread=watch.spread,
            name=watch.machine_id,
            live=stream.isatty(),
            refused=refused,
        )

    def remote(self, machine_id: str) -> list[Output]:
        """The outputs over the network.

        Raises:
            MonitorError: if an address is none or a package is missing.
        """
        environment, outputs = os.environ.get, list[Output]()
        if self.webhook is not None:
            outputs.append(Webhook(self.webhook, authorization=environment("AUSCULT_WEBHOOK_AUTHORIZATION")))
        if self.mqtt is not None:
            user, password = environment("AUSCULT_MQTT_USERNAME"), environment("AUSCULT_MQTT_PASSWORD")
            address = MqttAddress.parse(self.mqtt)
            known: dict[str, Any] = {"machine_id": machine_id, "username": user, "password": password}
            if self.home_assistant:
                prefix = environment("AUSCULT_HOME_ASSISTANT_PREFIX", DISCOVERY_PREFIX)
                outputs.append(HomeAssistant(address, prefix=prefix, **known))
            else:
                outputs.append(Mqtt(address, **known))
        return outputs


class Interruptions:
    """Signals set `stop`, so that what is being written is finished; the second one interrupts at once.

    Attributes:
        stop: ends the source.
        interrupted: whether it was Ctrl-C.
    """

    def __init__(self) -> None:
        self.stop = threading.Event()
        self.interrupted = False

    @contextmanager
    def caught(self) -> Iterator[None]:
        """Within the block; only the main thread gets signals."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self._take) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _take(self, number: int, _frame: Any) -> None:
        if self.stop.is_set():
            raise KeyboardInterrupt
        self.interrupted = number == signal.SIGINT
        self.stop.set()


def listen(
    scorer: WindowScorer,
    watch: Watch,
    source: SourceOptions,
    *,
    state: Path | None,
    outputs: Outputs,
    warn: Callable[[str], None],
    stdout: TextIO | None = None,
) -> MonitorSummary:
    """Monitor until the source ends, or a signal ends it.

    Args:
        scorer: of windows.
        watch: the machine and the rule.
        source: what to listen to.
        state: folder of the history; none keeps it in memory.
        outputs: where events go.
        warn: takes sentences that people should read.
        stdout: of lines; the process's own by default.

    Raises:
        MonitorError: if source, outputs or history cannot be used as asked.
        AudioError: if a file cannot be read.
        KeyboardInterrupt: after Ctrl-C, when all is written down.
    """
    source.check()
    outputs.check()
    stream, signals = stdout or sys.stdout, Interruptions()
    refused = _Refused(warn, signals.stop, alone=outputs.mqtt is None and outputs.webhook is None)
    screen = outputs.screen(stream, watch, refused)
    # What can be refused comes first: nobody is told that a monitor is there before it is.
    with closing(History(state, machine=watch.machine_id)) as history:
        opened = open_source(source, sample_rate=scorer.sample_rate, heard=history.heard_file, stop=signals.stop)
        remote = outputs.remote(watch.machine_id)
        local: list[Output] = [screen] if isinstance(screen, JsonLines) else []
        history.deliver_to([output.name for output in (*local, *remote)])
        deliveries = [Delivery(output, history, threaded=False) for output in local]
        deliveries += [Delivery(output, history) for output in remote]
        shown = Screens.of(screen, remote)
        monitor = Monitor(
            scorer, watch, history=history, deliveries=deliveries, screen=shown, retention=_retention(state, watch)
        )
        with signals.caught():
            screen.begin(_facts(scorer, watch, source, state))
            for delivery in deliveries:
                delivery.start()
            try:
                monitor.run(opened)
            finally:
                for delivery in deliveries:
                    left = delivery.close(seconds=1.0 if signals.stop.is_set() else LAST_SECONDS)
                    if left:
                        kept = "they are kept and delivered next time" if state else "they are lost without --state"
                        warn(f"{delivery.output.name}: {left} events were not delivered; {kept}")
            screen.end({**asdict(monitor.summary), "heard_seconds": monitor.heard_seconds})
    if history.problem:
        warn(history.problem)
    refused.settle(stream)
    if signals.interrupted:
        raise KeyboardInterrupt
    return monitor.summary


def _retention(state: Path | None, watch: Watch) -> Retention | None:
    """The usual one; none in a folder that is also of other machines, where a server has its own."""
    if state is None:
        return None
    with closing(Reader(state)) as reader:
        return Retention() if set(reader.machines()) <= {watch.machine_id} else None


class _Refused:
    """Standard output does not take lines: said once; the end, if it is a closed pipe and nobody else listens."""

    def __init__(self, warn: Callable[[str], None], stop: threading.Event, *, alone: bool) -> None:
        self._warn, self._stop, self._alone = warn, stop, alone
        self._said = False

    def __call__(self, error: OSError) -> None:
        if isinstance(error, BrokenPipeError) and self._alone:
            self._stop.set()
        elif not self._said:
            self._warn(f"standard output takes no lines ({error.strerror or error}); monitoring goes on")
        self._said = True

    def settle(self, stream: TextIO) -> None:
        """Keep the interpreter from complaining about what it cannot write at its end."""
        if self._said:
            with suppress(OSError, ValueError), Path(os.devnull).open("wb") as nowhere:
                os.dup2(nowhere.fileno(), stream.fileno())


def _facts(scorer: WindowScorer, watch: Watch, source: SourceOptions, state: Path | None) -> dict[str, Any]:
    return {
        "machine_id": watch.machine_id,
        "source": source.shown,
        "threshold": watch.threshold,
        "warning": watch.warning,
        "caveat": watch.caveat,
        **asdict(watch.settings),
        "sample_rate": scorer.sample_rate,
        "window_seconds": scorer.window_seconds,
        "step_seconds": scorer.step_seconds,
        "history": None if state is None else str(state),
    }
