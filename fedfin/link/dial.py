"""From a broker's URL to a connection that MQTT can be spoken over: proxy, TCP, TLS, WebSockets."""

import socket
import ssl

from fedfin.link.broker_url import BrokerUrl
from fedfin.link.proxy import Proxy
from fedfin.link.websocket import WebSocket

CONNECT_S = 20.0  # for TCP and TLS: on a link that loses every tenth packet a handshake takes seconds
Connection = socket.socket | WebSocket


def reach(broker: BrokerUrl, proxy: Proxy | None) -> socket.socket:
    """A TCP connection to the broker's port; through a proxy it is the proxy that resolves the name. Raises OSError."""
    if proxy is not None:
        return proxy.tunnel(broker.host, broker.port, CONNECT_S)
    return socket.create_connection((broker.host, broker.port), CONNECT_S)


def dial(broker: BrokerUrl, proxy: Proxy | None, context: ssl.SSLContext | None) -> Connection:
    """Connected, still blocking. Raises OSError (ssl.SSLError, WebSocketError, ProxyRefusalError), SettingsError."""
    connection = reach(broker, proxy)
    try:
        if context is not None:
            connection = context.wrap_socket(connection, server_hostname=broker.host)
        if broker.path is None:
            return connection
        websocket = WebSocket(connection)
        websocket.handshake(broker.address, broker.path)
    except BaseException:
        connection.close()
        raise
    return websocket
