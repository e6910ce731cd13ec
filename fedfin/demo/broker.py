"""The embedded broker (amqtt), as a process of its own: for trying things out on one machine, on loopback.

    python -m fedfin.demo.broker PORT

It speaks MQTT 3.1.1 only and acknowledges publishes that an ACL denied; mosquitto is the broker for production.
"""

import asyncio
import contextlib
import logging
import signal
import sys

HOST = "127.0.0.1"


async def serve(port: int) -> None:
    """Serve on loopback until SIGTERM or SIGINT."""
    from amqtt.broker import Broker

    config = {
        "listeners": {"default": {"type": "tcp", "bind": f"{HOST}:{port}", "max_connections": 0}},
        "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
    }
    broker = Broker(config)
    stop = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    await broker.start()
    print(f"listening on {HOST}:{port}", flush=True)
    await stop.wait()
    with contextlib.suppress(Exception):  # amqtt may find its sessions gone; there is nothing left to save
        await broker.shutdown()


if __name__ == "__main__":
    logging.basicConfig(level=logging.ERROR)
    asyncio.run(serve(int(sys.argv[1])))
