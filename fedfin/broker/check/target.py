"""Which broker is asked, and as whom."""

from dataclasses import dataclass, field, replace
from functools import cached_property

from cryptography import x509

from fedfin.broker.kit import certificates
from fedfin.broker.kit.parties import AGGREGATOR
from fedfin.errors import SettingsError
from fedfin.link.broker_url import BrokerUrl
from fedfin.link.login import Login
from fedfin.link.proxy import Proxy, ProxyChoice, chosen
from fedfin.link.tls import Tls
from fedfin.protocol.topics import Topics
from fedfin.trust.certificate_requests import name_of

# A site that no federation has: what a client may do in another's name is tried in this one.
NOBODY = "fedfin-check"


@dataclass(frozen=True)
class Target:
    """Who asks whom.

    `federation` None: only what needs no topic is asked. `claimed`: the name that --as gave. `unadmitted`: a site's
    folder to which no files for TLS have come. `way`: the proxy that is used.

    Raises SettingsError when the URL or a file will not do.
    """

    url: str
    tls: Tls | None = None
    login: Login | None = None
    proxy: ProxyChoice = None
    federation: str | None = None
    claimed: str | None = None
    unadmitted: bool = False
    broker: BrokerUrl = field(init=False)
    way: Proxy | None = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "broker", BrokerUrl.parse(self.url))
        object.__setattr__(self, "way", chosen(self.proxy, self.broker))
        if self.tls and not self.broker.tls:
            raise SettingsError(
                f"broker {self.url!r} is without TLS but files for TLS are given; write mqtts:// or wss://"
            )
        if self.tls:
            self.tls.context()

    @cached_property
    def certificate(self) -> x509.Certificate | None:
        """Ours, if we have one."""
        path = self.tls.certificate if self.tls else None
        return certificates.read(path) if path else None

    @property
    def name(self) -> str | None:
        """Who we are: as claimed, by the certificate, or by the login."""
        return self.claimed or self.certified or (self.login.user if self.login else None)

    @property
    def certified(self) -> str | None:
        """The name in our certificate."""
        return name_of(self.certificate.subject) if self.certificate else None

    @property
    def topics(self) -> Topics | None:
        """The federation's, when we know it and who we are in it."""
        return Topics(self.federation) if self.federation and self.name else None

    @property
    def is_aggregator(self) -> bool:
        """Else a site."""
        return self.name == AGGREGATOR

    def without_credentials(self) -> "Target":
        """Somebody who has neither certificate nor login."""
        tls = Tls(self.tls.ca) if self.tls else None
        return replace(self, tls=tls, login=None)

    @property
    def has_credentials(self) -> bool:
        """Whether we can show the broker who we are."""
        return self.login is not None or self.certificate is not None
