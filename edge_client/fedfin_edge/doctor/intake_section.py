"""[intake] of site.toml beside the rest of it: what `fedfin edge intake` would refuse when it starts."""

from collections.abc import Iterator

from fedfin.broker.check.finding import Finding, failed_by, not_reached, passed
from fedfin.errors import BundleError, SettingsError
from fedfin_edge.intake.folder import intake_settings
from fedfin_edge.intake.server_tls import server_context
from fedfin_edge.site import Site

_PROBE = "[intake]"


def intake_section(site: Site) -> Iterator[Finding]:
    """Its modalities by their bundles, and the TLS files of its listeners; nothing for a site without it."""
    if site.settings.intake is None:
        return
    try:
        settings = intake_settings(site)
        for listener in (settings.dicom, settings.hl7):
            if listener is not None:
                server_context(listener, site.folder)
    except BundleError:
        yield not_reached(_PROBE, "encoders failed")
    except SettingsError as error:
        yield failed_by(_PROBE, error)
    else:
        yield passed(_PROBE, "its modalities have encoders, and its listeners what they need")
