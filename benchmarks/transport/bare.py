"""The floor: bare paho clients and mosquitto move one round's bytes, with no care for what gets lost.

Every site publishes its bytes in chunks, a collector takes them all and publishes as many chunks for all sites.
"""

import multiprocessing
import ssl
import statistics
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from benchmarks.transport.broker import Broker
from benchmarks.transport.process_costs import cpu_seconds, peak_rss_mb

CHUNK = 256 * 1024
QOS = 1
SECONDS = 120.0


def bare_round(
    broker: Broker, *, sites: int, size: int, rounds: int, tls: Mapping[str, str]
) -> dict[str, Any]:
    """The figures of round_time.Figures that are measured here. Raises TimeoutError when bytes get lost."""
    context = multiprocessing.get_context("spawn")
    begun, times = context.Event(), context.Queue()
    port = int(broker.url.rpartition(":")[2])
    shared = (port, dict(tls), size, rounds)
    collect = context.Process(target=_collector, args=(*shared, sites, begun, times), daemon=True)
    collect.start()
    begun.wait(SECONDS)  # it listens before anyone speaks
    begun.clear()
    processes = [collect]
    processes += [
        context.Process(target=_site, args=(*shared, number), daemon=True) for number in range(sites)
    ]
    for process in processes[1:]:
        process.start()
    pids = [process.pid for process in processes if process.pid is not None]
    if not begun.wait(SECONDS):
        raise TimeoutError("the bare clients did not connect")
    before = {pid: cpu_seconds(pid) for pid in (*pids, broker.pid)}
    seconds = [times.get(timeout=SECONDS) for _ in range(rounds)]
    spent = {pid: cpu_seconds(pid) - before[pid] for pid in before}
    memory = peak_rss_mb(pids[0])
    for process in processes:
        process.kill()
        process.join()
    of_broker, of_collector = spent.pop(broker.pid), spent.pop(pids[0])
    by = {"aggregator": of_collector, "broker": of_broker, "sites": sum(spent.values())}
    return {
        "seconds": statistics.median(seconds),
        "slowest_s": max(seconds),
        "cpu_s": sum(by.values()) / rounds,
        "cpu_by": {name: value / rounds for name, value in by.items()},
        "aggregator_mb": memory,
        "broker_mb": peak_rss_mb(broker.pid),
    }


def _client(
    port: int, tls: Mapping[str, str], topic: str, on_message: Any, on_subscribe: Callable[[], Any]
) -> paho.Client:
    client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
    if tls:
        context = ssl.create_default_context(cafile=tls["ca"])
        context.load_cert_chain(tls["certificate"], tls["key"])
        client.tls_set_context(context)
    client.max_inflight_messages_set(8)
    client.on_message = on_message

    def on_connect(*_: Any) -> None:
        client.subscribe(topic, qos=QOS)

    client.on_connect = on_connect
    client.on_subscribe = lambda *_: on_subscribe()
    client.connect("127.0.0.1", port)
    client.loop_start()
    return client


def _chunks(size: int) -> list[bytes]:
    return [b"\x5a" * min(CHUNK, size - start) for start in range(0, size, CHUNK)]


def _site(port: int, tls: Mapping[str, str], size: int, rounds: int, number: int) -> None:
    chunks = _chunks(size)
    got = 0

    def on_message(client: paho.Client, _: Any, __: Any) -> None:
        nonlocal got
        got += 1
        if got % len(chunks) == 0 and got // len(chunks) <= rounds:
            for chunk in chunks:
                client.publish(f"up/{number}", chunk, qos=QOS)

    listening = threading.Event()
    client = _client(port, tls, "down/#", on_message, listening.set)
    listening.wait(SECONDS)
    client.publish(f"up/{number}", b"here", qos=QOS)
    time.sleep(SECONDS)


def _collector(
    port: int, tls: Mapping[str, str], size: int, rounds: int, sites: int, begun: Any, times: Any
) -> None:
    chunks = _chunks(size)
    got = -sites  # as many words of being here come first
    started = 0.0

    def on_message(client: paho.Client, _: Any, __: Any) -> None:
        nonlocal got, started
        got += 1
        if got < 0 or got % (len(chunks) * sites):
            return
        now = time.monotonic()
        if got:
            times.put(now - started)
        else:
            begun.set()
            time.sleep(0.3)  # so that the CPU times before are read
            now = time.monotonic()
        started = now
        for chunk in chunks if got < rounds * len(chunks) * sites else ():
            client.publish("down/model", chunk, qos=QOS)

    _client(port, tls, "up/#", on_message, begun.set)
    time.sleep(SECONDS)
