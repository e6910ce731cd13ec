"""The kit's README.md: for the operator, what goes where, and why each line stands there."""

from fedfin.broker.kit import access_rules, mosquitto_conf, sizing
from fedfin.broker.kit.mosquitto_conf import ACL, CONF, MEGABYTE, REVOKED, UNIT
from fedfin.broker.kit.settings import KitSettings

_PAGE = """\
# The broker of the federation "{federation}"

Written by `fedfin broker kit`; the next run writes it anew. Clients reach the broker at `{url}`.

| here | what it is | where it goes |
|---|---|---|
| `ca/` | the CA: `ca.key` signs certificates, so whoever has it can be anybody | nowhere; keep a backup |
| `broker/` | certificate, key, configuration, rights, unit | to the broker's machine |
| `ca.pem` | the CA's certificate | to everybody |
| `sites/NAME.pem`, `aggregator.pem` | the clients' certificates; not secret | to that client |
| `kit.toml` | what the kit was told | nowhere |

## Install

On the broker's machine, with mosquitto {mosquitto} or newer and a copy of `broker/`:

```
{install}
{service}
```

Or by hand, without systemd: the first two lines of these, then a folder for its data and the broker itself, as the user
`mosquitto`:

```
{by_hand}
```

`kill -HUP PID` reloads it, as `systemctl reload fedfin-broker` does the service; `pgrep -f mosquitto.conf` says the
PID. Started as root, mosquitto becomes the user `mosquitto` and then cannot open what only root may read: `Unable to
open acl_file`. The lines above give the files to that user. With `--etc` and `--data` in folders of your own, your own
user starts it.

Let port {port} through the firewall. mosquitto has no limit on how often somebody connects; nftables does:

```
{nftables}
```

Then ask it, from the machine of a client:

```
{check}
```

## Add a site

Put its name into the list of sites and its request (`NAME.csr`) into the folder of requests, run the kit again, compare
the fingerprint that it shows by telephone, and send `sites/NAME.pem` and `ca.pem` to the site. The broker need not be
told: its rules go by the name in the certificate.

## Renew

`fedfin broker kit --out KIT --list` shows what ends within 30 days. For a client: `--renew NAME --requests FOLDER`,
and send it the new certificate; the old one stays valid until it ends, so nothing is in a hurry. For the broker:
`--renew broker`, then

```
{reload}
```

Open connections stay; new ones see the new certificate.

## Revoke

`fedfin broker kit --out KIT --revoke NAME` writes {revoked} and {acl}. Copy both and reload, as above. From then on the
client is refused when it connects. mosquitto does not end a connection that stands; but it holds it to the new rights
at once, and there NAME may neither write nor read anything. To end it too, `sudo systemctl restart fedfin-broker`: all
others connect again within a minute and lose nothing.

A client that comes back sends a request with a new key; `--renew NAME` lets it in. Restart the broker then.

## Rights, topic by topic

`{acl}`, below `fedfin/1/{federation}/`. What is not listed is denied; the broker says so in its answer at
QoS 1.

{rights}
## Configuration, line by line

{lines}
## Sizing

{sizing}

A model's bytes are those of `final.fedfin`; other numbers: `--most-sites N --model-mb N`, then install and restart.
"""


def text(settings: KitSettings) -> str:
    """The page."""
    etc = settings.etc
    return _PAGE.format(
        federation=settings.federation,
        url=settings.url,
        mosquitto=settings.mosquitto,
        port=settings.port,
        install=install(settings),
        service=service(),
        by_hand=by_hand(settings),
        nftables=nftables(settings.port),
        check=check(settings),
        reload=_reload(etc),
        revoked=f"`{REVOKED}`",
        acl=ACL,
        rights=access_rules.table(settings.federation, settings.shards),
        lines=mosquitto_conf.table(settings),
        sizing=sizing.words(settings.most_sites, settings.shards, settings.model_mb * MEGABYTE),
    )


def install(settings: KitSettings) -> str:
    """The commands that put the files into place: for mosquitto alone, as its next versions want them."""
    return "\n".join(
        [
            f"sudo install -d -o root -g mosquitto -m 0750 {settings.etc}",
            f"sudo install -o mosquitto -g mosquitto -m 0600 broker/* {settings.etc}/",
        ]
    )


def service() -> str:
    """The commands that start the broker as a service."""
    return "\n".join(
        [
            f"sudo install -m 0644 broker/{UNIT} /etc/systemd/system/",
            "sudo systemctl daemon-reload",
            "sudo systemctl enable --now fedfin-broker",
        ]
    )


def by_hand(settings: KitSettings) -> str:
    """The commands that start the broker without systemd, which would make the folder for its data."""
    return "\n".join(
        [
            f"sudo install -d -o mosquitto -g mosquitto -m 0700 {settings.data}",
            f"sudo -u mosquitto mosquitto -c {settings.etc}/{CONF}",
        ]
    )


def nftables(port: int) -> str:
    """Rules for nft: per address thirty new connections a minute, after a first burst."""
    limit, new = "limit rate over 30/minute burst 60 packets", f"tcp dport {port} ct state new"
    return "\n".join(
        [
            "table inet fedfin {",
            "  set callers { type ipv4_addr; flags dynamic; timeout 5m; }",
            "  set callers6 { type ipv6_addr; flags dynamic; timeout 5m; }",
            "  chain input {",
            "    type filter hook input priority 0;",
            f"    {new} add @callers {{ ip saddr {limit} }} drop",
            f"    {new} add @callers6 {{ ip6 saddr {limit} }} drop",
            "  }",
            "}",
        ]
    )


def check(settings: KitSettings) -> str:
    """Ask the broker as the aggregator."""
    return (
        f"fedfin broker check {settings.url} --federation {settings.federation} --as aggregator"
        " --ca ca.pem --certificate aggregator.pem --key chest/trust/broker.key"
    )


def _reload(etc: str) -> str:
    return (
        f"sudo install -o mosquitto -g mosquitto -m 0600 broker/* {etc}/\nsudo systemctl reload fedfin-broker"
    )
