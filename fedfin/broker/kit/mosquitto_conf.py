"""mosquitto's configuration, line by line with the reason for each: what the file, the kit's page and the docs show."""

import textwrap
from dataclasses import dataclass

from fedfin.broker.kit.settings import KitSettings
from fedfin.broker.kit.sizing import INFLIGHT_BYTES, PACKET_BYTES, Sizing, sizing
from fedfin.limits import KEEPALIVE_S, SENDERS

CONF, ACL, UNIT = "mosquitto.conf", "mosquitto.acl", "fedfin-broker.service"
CA, CERTIFICATE, KEY, REVOKED = "ca.pem", "broker.pem", "broker.key", "crl.pem"
MEGABYTE = 1_000_000


@dataclass(frozen=True)
class Line:
    """One setting, and why it is there."""

    text: str
    why: str


def size_of(settings: KitSettings) -> Sizing:
    """What this kit's limits are made for."""
    return sizing(settings.most_sites, settings.shards, settings.model_mb * MEGABYTE)


def sections(settings: KitSettings, *, revocations: bool = True) -> dict[str, list[Line]]:
    """Every line by its section. `revocations`: there is a list of revoked certificates."""
    size = size_of(settings)
    return {
        "The one way in": _listener(settings, size, revocations=revocations),
        "Rights": _rights(settings),
        "Limits": _limits(settings, size),
        "What survives a restart": _persistence(settings),
        "The log": _log(),
    }


def text(settings: KitSettings, *, revocations: bool = True) -> str:
    """The file."""
    lines = [
        f'# mosquitto {settings.mosquitto} for the federation "{settings.federation}", by `fedfin broker kit`.',
        "# The next run writes this file anew: change it by the kit's options, which are kept.",
    ]
    for title, members in sections(settings, revocations=revocations).items():
        lines += ["", f"# {title}"]
        for line in members:
            lines += [*textwrap.wrap(line.why, 118, initial_indent="# ", subsequent_indent="# "), line.text]
    return "\n".join(lines) + "\n"


def table(settings: KitSettings) -> str:
    """The same for people, in Markdown."""
    rows = [f"| `{line.text}` | {line.why} |" for members in sections(settings).values() for line in members]
    return "\n".join(["| line | why |", "|---|---|", *rows]) + "\n"


def _listener(settings: KitSettings, size: Sizing, *, revocations: bool) -> list[Line]:
    etc, new = settings.etc, settings.mosquitto == "2.1"
    lines = [
        Line(
            f"listener {settings.port} {settings.listen}".rstrip(),
            "The only port. Without a listener without TLS nothing is ever said in the clear.",
        ),
        Line(
            "tls_version tlsv1.3",
            "No older TLS: 1.3 hides certificates from who listens, and has no weak ciphers.",
        ),
        Line(f"cafile {etc}/{CA}", "Only certificates of this CA are let in."),
        Line(f"certfile {etc}/{CERTIFICATE}", "The broker's own certificate; clients check its host name."),
        Line(f"keyfile {etc}/{KEY}", "Its key: readable by the broker only."),
    ]
    if revocations:
        lines.append(
            Line(f"crlfile {etc}/{REVOKED}", "Revoked certificates are refused. Read again on SIGHUP.")
        )
    lines += [
        Line("require_certificate true", "Whoever has no certificate is turned away before a byte of MQTT."),
        Line(
            "use_identity_as_username true",
            "Who a client is stands in its certificate (CN), whatever it claims.",
        ),
        Line(
            "use_username_as_clientid true", "Its client id too: nobody can take over another's connection."
        ),
        Line(f"max_connections {size.connections}", "Sites, shards, the aggregator, and some to spare."),
        Line("max_qos 1", "FedFIN speaks QoS 1; QoS 2 would cost memory for each message."),
    ]
    if new:
        lines.append(Line("accept_protocol_versions 5", "Older MQTT does not say why something is refused."))
    anonymous = "listener_allow_anonymous" if new else "allow_anonymous"
    return [*lines, Line(f"{anonymous} false", "Nobody without a name; a second lock on the same door.")]


def _rights(settings: KitSettings) -> list[Line]:
    acl = f"{settings.etc}/{ACL}"
    why = "Who may read and write what: what is not listed is denied. Read again on SIGHUP, for open connections too."
    if settings.mosquitto == "2.0":
        return [Line(f"acl_file {acl}", why)]
    return [
        Line(
            f"plugin {settings.plugin}",
            "2.1 has access control lists in a plugin; `acl_file` alone is deprecated.",
        ),
        Line(f"plugin_opt_acl_file {acl}", why),
    ]


def _limits(settings: KitSettings, size: Sizing) -> list[Line]:
    lines = [
        Line(
            f"max_packet_size {PACKET_BYTES}",
            "260 KiB, the largest packet of FedFIN where no URL wants more. Who sends more is cut off.",
        ),
        Line(
            f"max_inflight_bytes {INFLIGHT_BYTES}",
            "Sent to one client and not acknowledged: a window of packets.",
        ),
        Line(
            f"max_queued_messages {size.queued_messages}",
            f"Waiting for one client: the windows of the {SENDERS} sites that send at once, and all small messages.",
        ),
        Line(
            f"max_queued_bytes {SENDERS * INFLIGHT_BYTES}",
            "The same in bytes. More is dropped, and asked for again.",
        ),
        Line(
            f"memory_limit {size.memory}",
            "All of the above at its most (see sizing); then who sends is cut off.",
        ),
        Line(f"max_keepalive {2 * KEEPALIVE_S}", "A client that died is noticed within three minutes."),
        Line("persistent_client_expiration 1h", "FedFIN leaves no sessions; what others leave is dropped."),
        Line("set_tcp_nodelay true", "Without it each small packet waits up to 45 ms for the one before."),
    ]
    if settings.mosquitto == "2.1":
        lines.append(
            Line(
                f"global_max_clients {size.connections}", "As many sessions as connections, none beside them."
            )
        )
    return lines


def _persistence(settings: KitSettings) -> list[Line]:
    return [
        Line(
            "retain_available true",
            "The open round and the model wait at the broker for sites that come later.",
        ),
        Line("persistence true", "They survive a restart."),
        Line(f"persistence_location {settings.data}/", "Where; nobody but the broker needs to read it."),
        Line(
            "autosave_interval 300",
            "Seconds between two writes. What a crash loses the aggregator says again.",
        ),
    ]


def _log() -> list[Line]:
    return [
        Line("log_dest stderr", "To the journal of systemd: `journalctl -u fedfin-broker`."),
        Line("log_type error", "What went wrong,"),
        Line("log_type warning", "what is about to,"),
        Line("log_type notice", "and who came, went or was refused. Never a payload."),
    ]
