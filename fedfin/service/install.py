"""Putting a service there: user, unit, options, its folder where systemd keeps state; and taking all that away again.

/etc/systemd/system/fedfin-SERVICE@.service               the template, where no package brought it
/etc/systemd/system/fedfin-SERVICE@NAME.service.d/        what only this machine has
/etc/fedfin/SERVICE-NAME.env                              options of the command; root's, 0600
/var/lib/fedfin/GROUP/NAME                                the folder with all that it knows; the user's, 0700

A site's intake is a second service in the same folder.
"""

import contextlib
import grp
import os
import pwd
import shlex
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fedfin.errors import StateError
from fedfin.files import FILE_MODE, FOLDER_MODE, make_folder, write_atomically
from fedfin.service.host import Host, has_user, run
from fedfin.service.program import check_program, find_program
from fedfin.service.unit import OPTIONS, SERVICES, SETTINGS, STATE, USER, Service, text

SECRETS = "secrets"  # in a service's folder: copies of passwords, keys and CAs that were elsewhere
_STEPS_SINCE = 254
_BACK_OFF = "[Service]\nRestartSteps=6\nRestartMaxDelaySec=15min\n"
_GPU = """\
[Service]
PrivateDevices=false
DeviceAllow=char-nvidia rw
DeviceAllow=char-nvidia-frontend rw
DeviceAllow=char-nvidia-uvm rw
DeviceAllow=/dev/nvmap rw
DeviceAllow=char-nvhost rw
MemoryDenyWriteExecute=false
SupplementaryGroups=video
"""


@dataclass(frozen=True)
class Setup:
    """What becomes a service: `options` of its command; `allowed`: settings of its unit beyond the template's."""

    service: Service
    options: Sequence[str]
    allowed: str = ""


def check_free(host: Host, service: Service, name: str, folder: Path) -> None:
    """Raises StateError where there is something in the place of a folder that is to move there."""
    place = host.state(service, name)
    if place.exists() and not place.samefile(folder):
        raise StateError(
            f"{place} is there already: a service of that name has its folder there; `fedfin {service.group} service"
            f" uninstall {name}` takes it away"
        )


def check_programs(host: Host, services: Sequence[Service]) -> None:
    """Raises StateError where a unit would name a command that the services' user cannot run: before anything moves."""
    if not all(map(host.is_packaged, services)):
        host.make_user()
        check_program(host)


def install(host: Host, setups: Sequence[Setup], name: str, folder: Path, *, gpu: bool = False) -> Path:
    """Move the folder there, enable and start its services; where the folder is now. Raises StateError.

    A service that runs starts again, so that what was changed counts.
    """
    place = host.state(setups[0].service, name)
    check_free(host, setups[0].service, name, folder)
    host.make_user()
    for setup in setups:
        _write_unit(host, setup, name, gpu=gpu)
        line = f'{OPTIONS}="{" ".join(map(shlex.quote, setup.options))}"\n'
        _put(host.options(setup.service, name), line, FILE_MODE)
    if not place.exists():
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(folder, place)
    give(place)
    _start([setup.service for setup in setups], name, place)
    return place


def _start(services: Sequence[Service], name: str, place: Path) -> None:
    """Raises StateError that says where the folder is now, and how to go on or back."""
    units = [service.instance(name) for service in services]
    try:
        run("systemctl", "daemon-reload")
        run("systemctl", "enable", *units)
        run("systemctl", "restart", *units)
    except StateError as error:
        command = f"fedfin {services[0].group} service"
        raise StateError(
            f"{error}\nthe folder is in {place} now. To go on: correct it, then `{command} install {place}`;"
            f" to go back: `{command} uninstall {name} --keep-state`, then move the folder where you want it"
        ) from None


def keep_secret(folder: Path, file: Path) -> Path:
    """A copy of a password, key or CA in the service's folder, for it alone. Raises StateError.

    The folder may be the service's already, and a link there would lead root elsewhere.
    """
    make_folder(folder / SECRETS)
    copy = folder / SECRETS / file.name
    for path in (folder / SECRETS, copy):
        if path.is_symlink():
            raise StateError(f"{path} is a link; put what it leads to in its place")
    if copy.exists() and copy.read_bytes() != file.read_bytes():
        raise StateError(f"{copy} is there already, and is another file than {file}; give that another name")
    write_atomically(copy, file.read_bytes())
    return copy


def give(folder: Path) -> None:
    """To the services' user, and nobody else; of a link the link itself, for it may lead to what is another's."""
    user, group = pwd.getpwnam(USER).pw_uid, grp.getgrnam(USER).gr_gid
    for path in (folder, *folder.rglob("*")):
        with contextlib.suppress(FileNotFoundError):  # of a service at work
            if not path.is_symlink():
                path.chmod(FOLDER_MODE if path.is_dir() else FILE_MODE)
            os.chown(path, user, group, follow_symlinks=False)


def installed(host: Host, service: Service, name: str) -> list[Service]:
    """The services of this folder: those of the group that have options here, else the first one."""
    group = [each for each in SERVICES if each.group == service.group]
    return [each for each in group if host.options(each, name).exists()] or [service]


def uninstall(host: Host, service: Service, name: str, *, keep_state: bool) -> list[Path]:
    """Stop the folder's services and remove what `install` put there; what of it is kept. Raises StateError."""
    place, services = host.state(service, name), installed(host, service, name)
    if not (place.exists() or host.options(services[0], name).exists()):
        raise StateError(f"there is no service {service.instance(name)}: {place} is not there")
    run("systemctl", "disable", "--now", *(each.instance(name) for each in services))
    for each in services:
        shutil.rmtree(_own_settings(host, each, name), ignore_errors=True)
        host.options(each, name).unlink(missing_ok=True)
    if not keep_state:
        shutil.rmtree(place, ignore_errors=True)
    if not (place.parent.is_dir() and any(place.parent.iterdir())):
        for each in services:
            host.unit(each).unlink(missing_ok=True)  # the last of its kind
    for empty in (place.parent, host.path(STATE), host.path(SETTINGS)):
        with contextlib.suppress(OSError):
            empty.rmdir()
    run("systemctl", "daemon-reload")
    if not host.path(STATE).exists() and not any(map(host.is_packaged, SERVICES)) and has_user():
        run("userdel", USER)
    return [place] if place.exists() else []


def _write_unit(host: Host, setup: Setup, name: str, *, gpu: bool) -> None:
    service = setup.service
    if not host.is_packaged(service):
        _put(host.unit(service), text(service, str(find_program())), 0o644)
    settings = _own_settings(host, service, name)
    if host.systemd_version() >= _STEPS_SINCE:
        _put(settings / "back-off.conf", _BACK_OFF, 0o644)
    if gpu:
        _put(settings / "gpu.conf", _GPU, 0o644)
    if setup.allowed:
        _put(settings / "allowed.conf", f"[Service]\n{setup.allowed}", 0o644)
    else:
        (settings / "allowed.conf").unlink(missing_ok=True)


def _own_settings(host: Host, service: Service, name: str) -> Path:
    return host.unit(service).with_name(f"{service.instance(name)}.d")


def _put(path: Path, content: str, mode: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, content.encode())
    path.chmod(mode)
