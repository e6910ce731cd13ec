"""Why a connection ended: what the broker's reason (MQTT 5, section 3.14.2.1) means for us, and what to do."""

from fedfin.link.link_events import Announced

BEHIND = {
    "Session taken over": "another client has connected as {client}: a second process, or a copy of this machine;"
    " end one of them",
    "Packet too large": "smaller messages are tried",
    "Keep alive timeout": "it heard nothing of us in time; look at the network, or at what keeps this machine busy",
    "Quota exceeded": "its limit for us, or its memory, is used up; ask its operator",
    "Server busy": "it has too much to do; ask its operator",
    "Not authorized": "it does not allow what we did; `fedfin broker check` shows what",
    "Administrative action": "its operator ended it",
    "Server shutting down": "it is being stopped",
    "Message rate too high": "it limits the rate of messages; ask its operator",
    "Receive maximum exceeded": "it takes fewer messages at once; ask its operator for 8 at least",
    "Use another server": "ask its operator for the other one's address",
    "Server moved": "ask its operator for the new address",
}

# What a broker that falls silent does without a word: RabbitMQ takes nothing from anybody while an alarm is on.
FULL = (
    "the broker may be out of memory or disk (RabbitMQ: `rabbitmqctl status` lists alarms); ask its operator"
)

# What a broker must have for us. No other try does better before its operator has seen to it.
KEEP_RETAINED = "let the broker keep retained messages (mosquitto: `retain_available true`)"
ALLOW_QOS_1 = "allow QoS 1 (mosquitto: `max_qos 1`)"
_LACKING = {"Retain not supported": KEEP_RETAINED, "QoS not supported": ALLOW_QOS_1}


def is_final(reason: str) -> bool:
    """Whether a broker that gives this reason has not what we need."""
    return reason in _LACKING


def lacking(announced: Announced) -> str | None:
    """The reason that a broker would have given, which let us in although it has not what we need."""
    if not announced.retain_available:
        return "Retain not supported"
    return "QoS not supported" if announced.maximum_qos < 1 else None


def refused(address: str, client: str, reason: str) -> str:
    """In words, for a reason that the broker gave in place of letting us in."""
    words = f"the broker at {address} refuses {client}: {reason}"
    return f"{words}; {_LACKING[reason]}" if is_final(reason) else words


def ended_by_broker(address: str, client: str, reason: str) -> str:
    """In words, for a reason that the broker gave."""
    behind = (BEHIND | _LACKING).get(reason, "")
    words = f"the broker at {address} ended the connection: {reason}"
    return f"{words}; {behind.format(client=client)}" if behind else words


def unanswered(address: str, *, before: bool) -> str:
    """In words, where a broker took the connection and said nothing. `before`: it has let us in earlier."""
    words = f"{address} ended the connection before it answered"
    if before:
        return f"{words}, and has let us in earlier: {FULL}"
    return f"{words}; is mqtts:// or mqtt:// right for this port? If so, {FULL}"


def lost(address: str, client: str, *, silent_s: int, largest: int) -> str:
    """In words, where nobody gave a reason.

    `silent_s`: the broker did not answer for so long. `largest`: bytes of a message on its way, larger than any
    that the broker has taken. 0: not so.
    """
    words = f"the connection to {address} was lost"
    if silent_s:
        return f"{words}: it did not answer for {silent_s} s; the network is gone, or {FULL}"
    if largest:
        return (
            f"{words} with a message of {largest} bytes on its way, the largest so far; perhaps the broker takes none"
            " so large: smaller ones are tried"
        )
    return f"{words}; if that comes again and again, another client may have connected as {client}"
