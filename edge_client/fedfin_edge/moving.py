"""A site folder that moves: what site.toml names outside of it must be found from where it goes.

The case table, the bundles, and an intake's watched folder and table of labels stay, under their absolute paths.
Passwords, tokens, keys and CAs are copied into the folder, where only the site's user may read them. The rest of
site.toml, comments too, is left as a person wrote it.
"""

import json
import os
import re
from pathlib import Path

from fedfin.errors import SettingsError
from fedfin.files import write_atomically
from fedfin.service.host import Host, may_read
from fedfin.service.install import SECRETS, keep_secret
from fedfin.service.unit import STATE
from fedfin_edge.site import SETTINGS, Site, SiteSettings

_SECRET_KEYS = ("ca", "certificate", "key", "password_file", "token_file")
_PATH_KEYS = ("table", "bundle", "path", *_SECRET_KEYS)


def move_paths(host: Host, site: Site) -> None:
    """Let site.toml be right wherever its folder is, now and later: the move may yet fail, and be tried again.

    Raises SettingsError or StateError before it is changed.
    """
    host.make_user()
    data = {text: path for text, path in _data(site).items() if not _inside(site, path)}
    secrets = {text: path for text, path in _secrets(site).items() if not _inside(site, path)}
    for text, path in (data | secrets if _is_services(host, site) else data).items():
        _check_seen(host, text, path)
    changes = {text: str(path) for text, path in data.items()}
    changes |= {text: f"{SECRETS}/{path.name}" for text, path in secrets.items()}
    settings = site.folder / SETTINGS
    written = settings.read_text()
    moved = _replaced(written, changes)
    for path in secrets.values():
        keep_secret(site.folder, path)
    if moved != written:
        write_atomically(settings, moved.encode())


def _data(site: Site) -> dict[str, Path]:
    """By how site.toml writes it."""
    texts = [site.settings.cases.table, *(each.bundle for each in site.settings.modalities.values())]
    if (intake := site.settings.intake) is not None:
        texts += [intake.labels.table] if intake.labels else []
        texts += [intake.folder.path] if intake.folder else []
    return {text: _resolved(site, text) for text in texts}


def _secrets(site: Site) -> dict[str, Path]:
    """By how site.toml writes it."""
    settings: SiteSettings = site.settings
    sections: list[object] = [settings.tls, settings.login, settings.proxy]
    if (intake := settings.intake) is not None:
        sections += [
            intake.dicom,
            intake.archive,
            intake.hl7,
            intake.dicomweb,
            intake.fhir,
            intake.fhir_export,
        ]
    texts = [getattr(section, key, None) for section in sections for key in _SECRET_KEYS]
    return {text: _resolved(site, text) for text in texts if text is not None}


def _resolved(site: Site, text: str) -> Path:
    return Path(os.path.normpath(site.folder.absolute() / text))


def _inside(site: Site, path: Path) -> bool:
    return path.is_relative_to(site.folder.absolute())


def _is_services(host: Host, site: Site) -> bool:
    """Whether the services' user may have written site.toml: root copies nothing for it that it may not read."""
    return site.folder.resolve().is_relative_to(host.path(STATE).resolve())


def _check_seen(host: Host, text: str, path: Path) -> None:
    """Raises SettingsError for what the service will not be able to read."""
    if host.hides(path.resolve()):
        raise SettingsError(
            f"{SETTINGS}: {text} is in a home folder, which services do not see: move it, as to /srv/fedfin, or into"
            " the site folder, and correct the path"
        )
    if not may_read(path):
        raise SettingsError(
            f"{SETTINGS}: the user fedfin may not read {path}: give it the right, on the folders above, too, or move it"
            " into the site folder and correct the path"
        )


def _replaced(text: str, changes: dict[str, str]) -> str:
    """With other paths. Raises SettingsError for a path that is written in another way than `init` does."""
    keys = "|".join(_PATH_KEYS)
    for old, new in changes.items():
        given = f"(?:{re.escape(_quote(old))}|'{re.escape(old)}')"
        replacement = _quote(new).replace("\\", r"\\")
        text, count = re.subn(rf"(?m)^(\s*(?:{keys})\s*=\s*){given}", rf"\g<1>{replacement}", text)
        if not count:
            raise SettingsError(
                f"{SETTINGS}: cannot find the line with {old}; write it as `key = {_quote(old)}`"
            )
    return text


def _quote(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
