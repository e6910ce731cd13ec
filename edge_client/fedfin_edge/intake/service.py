"""`fedfin edge intake` at work: sources bring, the spool keeps, the absorber encodes."""

import time
from collections import Counter
from contextlib import ExitStack
from typing import NoReturn

from fedfin.errors import FedfinError, StateError
from fedfin.service.notify import Manager
from fedfin_edge.cases.feature_store import FeatureStore
from fedfin_edge.intake.absorber import Absorber
from fedfin_edge.intake.encoders import Encoders
from fedfin_edge.intake.folder import IntakeFolder
from fedfin_edge.intake.intake_store import IntakeStore
from fedfin_edge.intake.reception import Reception
from fedfin_edge.intake.released import drop_released
from fedfin_edge.intake.source import Polled, Reporter
from fedfin_edge.intake.sources import polled, servers
from fedfin_edge.intake.spool import FullError, Spool
from fedfin_edge.site import Site

TICK_S = 1.0
IDLE_S = 30.0  # after so long without work the encoders' processes end, and give their memory back
RETRY_S = 10.0
REPORT_S = 10.0  # what comes one by one is not worth a line each


class Service:
    """An intake with its stores open; a context manager. processes: encode in so many; 0: in this one."""

    def __init__(
        self,
        site: Site,
        folder: IntakeFolder,
        report: Reporter,
        *,
        processes: int,
        manager: Manager,
    ) -> None:
        self._site = site
        self._folder = folder
        self._report = report
        self._processes = processes
        self._manager = manager
        self._stack = ExitStack()
        self._counts: Counter[str] = Counter()
        self._reported = float("-inf")
        self._refusal = ""

    def __enter__(self) -> "Service":
        """Raises StateError."""
        self._encoders = Encoders(self._site, self._processes, self._manager.beat)
        self._stack.callback(self._encoders.close)
        self._store: IntakeStore = self._stack.enter_context(self._folder.open_store())
        features = self._stack.enter_context(FeatureStore(self._site.features_path, durable=True))
        self._spool: Spool = self._folder.open_spool()
        self._reception = Reception(self._folder.settings, self._folder.identity, self._spool, self._store)
        self._absorber = Absorber(
            self._site, self._folder, self._spool, self._store, features, self._encoders
        )
        with self._folder.batch():  # what a kill may have left
            drop_released(self._site, self._store, features)
        return self

    def __exit__(self, *_: object) -> None:
        self._report_counts()
        self._stack.close()

    def once(self) -> None:
        """Poll each source that is polled, once, and work until the spool is empty. Raises FedfinError."""
        self._empty_spool()
        for source in polled(self._site, self._folder, self._reception, self._store, self._report):
            self._poll_to_its_end(source)
        self._empty_spool()

    def _poll_to_its_end(self, source: Polled) -> None:
        """Nobody else makes room meanwhile. Raises StateError where an empty spool has none."""
        while True:
            try:
                source.poll_once()
            except FullError as error:
                if not self._empty_spool():
                    raise StateError(
                        f"{self._folder.spool_path}: {error}; make room on its disk, or lower intake.least_free_mb in"
                        " site.toml"
                    ) from None
            else:
                return

    def _empty_spool(self) -> bool:
        """Whether there was something in it. Raises BundleError, StateError."""
        worked = False
        while counts := self._absorber.absorb():
            self._counts.update(counts)
            worked = True
        return worked

    def serve(self) -> None:
        """Until KeyboardInterrupt. Raises SettingsError, StateError when a server cannot listen."""
        for port, server in servers(self._site, self._folder, self._reception, self._report).items():
            self._stack.enter_context(server)
            self._report("listening", {"port": port})
        sources = polled(self._site, self._folder, self._reception, self._store, self._report)
        for source in sources:
            self._stack.enter_context(source)
        for source in sources:  # before the first of them is waited for
            self._stack.callback(source.stop)
        with self._manager.serving():
            self._work_on()

    def _work_on(self) -> NoReturn:
        rest_at = time.monotonic() + IDLE_S
        while True:
            self._manager.beat()
            if self._work():
                rest_at = time.monotonic() + IDLE_S
            elif time.monotonic() > rest_at:
                self._encoders.close()
                rest_at = float("inf")

    def _work(self) -> bool:
        """One batch, or a moment's wait; whether there was something to do."""
        self._spool.arrived.clear()
        self._report_refusal()
        try:
            counts = self._absorber.absorb()
        except (
            FedfinError
        ) as error:  # a full disk, a bundle that is being replaced: nothing is lost meanwhile
            self._report("held-up", {"reason": str(error), "waiting": len(self._spool)})
            time.sleep(RETRY_S)
            return True
        self._counts.update(counts)
        if time.monotonic() - self._reported > REPORT_S:
            self._report_counts()
        if not counts:
            self._spool.arrived.wait(TICK_S)
        return bool(counts)

    def _report_refusal(self) -> None:
        """Senders only hear that there is no room; who looks after the disk is here."""
        if (refusal := self._spool.refusal()) == self._refusal:
            return
        self._refusal = refusal
        if refusal:
            self._report("refusing", {"reason": refusal, "waiting": len(self._spool)})
        else:
            self._report("accepting", {"waiting": len(self._spool)})

    def _report_counts(self) -> None:
        """What was absorbed since this was last told."""
        if not self._counts:
            return
        taken = sum(number for reason, number in self._counts.items() if reason.endswith(": taken"))
        withdrawn = self._counts["report: withdrawn"] + self._counts["image: withdrawn"]
        self._report(
            "absorbed",
            {
                "taken": taken,
                "withdrawn": withdrawn,
                "left_out": self._counts.total() - taken - withdrawn,
                "waiting": len(self._spool),
            },
        )
        self._counts.clear()
        self._reported = time.monotonic()
