"""One process of the fleet: hundreds of sites on one selector. Started by benchmarks.transport.fleet."""

import argparse
import json
import selectors
import time
from collections import deque
from collections.abc import Callable

from benchmarks.transport.fleet_models import FleetModels
from benchmarks.transport.fleet_site import FleetSite
from benchmarks.transport.polled_link import PolledLink
from fedfin.command_line import broker_options
from fedfin.link import link_events
from fedfin.link.tls import Tls
from fedfin.memory import keep_freed_memory
from fedfin.protocol.site import events as site_events

TICK_S = 1.0  # a site asks again after seconds
CONNECTING = (
    16  # connections under way at once: a broker's listen queue holds about a hundred, for all processes
)
RECONNECT_S = 2.0


class FleetProcess:
    """Sites `first` to `first + count` - 1 of one federation, until each holds the final model."""

    def __init__(self, broker: str, tls: Tls | None, federation: str, first: int, count: int) -> None:
        self._selector = selectors.DefaultSelector()
        self._sites: dict[PolledLink, FleetSite] = {}
        models = FleetModels()
        for number in range(first, first + count):
            site = FleetSite(federation, number, models)
            site.link = link = PolledLink(
                broker, site.client_id, will=_will(site), tls=tls, selector=self._selector
            )
            self._sites[link] = site
        self._waiting = deque((0.0, link) for link in self._sites)  # (not before, who wants a connection)
        self._connecting: set[PolledLink] = set()
        self._tick_at = 0.0

    def run(self) -> None:
        """Take part; a JSON line a second on standard output says how far."""
        while self._sites or self._selector.get_map():  # those that left are still flushing their last words
            for key, events in self._selector.select(0.05):
                key.data.ready(events)
                self._hand_on(key.data)
            self._connect_some()
            if time.monotonic() >= self._tick_at:
                self._tick()

    def _tick(self) -> None:
        self._tick_at = time.monotonic() + TICK_S
        for link, site in list(self._sites.items()):
            link.keep_alive()
            site.feed(site_events.Tick())
            self._hand_on(link)
        online = sum(site.online for site in self._sites.values())
        print(json.dumps({"event": "fleet", "sites": len(self._sites), "online": online}), flush=True)

    def _connect_some(self) -> None:
        now = time.monotonic()
        while self._waiting and self._waiting[0][0] <= now and len(self._connecting) < CONNECTING:
            _, link = self._waiting.popleft()
            if link not in self._sites:
                continue  # it has finished meanwhile
            self._connecting.add(link)
            link.open()
            self._hand_on(link)

    def _hand_on(self, link: PolledLink) -> None:
        """What a link said goes to its site; what that publishes in turn leaves together."""
        site = self._sites.get(link)
        while site is not None and not link.events.empty():
            event = link.events.get()
            if isinstance(event, link_events.Up | link_events.Down):
                self._connecting.discard(link)
            if isinstance(event, link_events.Down):
                self._waiting.append((time.monotonic() + RECONNECT_S, link))
            site.receive(event)
        if site is not None and site.finished:
            del self._sites[link]
            link.close(site.will)
        link.flush()


def _will(site: FleetSite) -> tuple[str, Callable[[], bytes]]:
    topic, words = site.will
    return topic, lambda: words


def main() -> None:
    """Run one process of the fleet."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    broker_options.add(parser)
    parser.add_argument("--federation", required=True, metavar="NAME")
    parser.add_argument("--first", type=int, required=True, help="number of the first site")
    parser.add_argument("--count", type=int, required=True, help="how many sites")
    args = parser.parse_args()
    keep_freed_memory()
    FleetProcess(args.broker, broker_options.tls(args), args.federation, args.first, args.count).run()


if __name__ == "__main__":
    main()
