"""Putting a service there: user, unit, options, its folder where systemd keeps state; and taking all that away again.

/etc/systemd/system/fedfin-GROUP@.service                 the template, where no package brought it
/etc/systemd/system/fedfin-GROUP@NAME.service.d/          what only this machine has
/etc/fedfin/GROUP-NAME.env                                options of the command; root's, 0600
/var/lib/fedfin/GROUP/NAME                                the folder with all that it knows; the user's, 0700
"""

import contextlib
import shlex
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from fedfin.errors import StateError
from fedfin.files import FILE_MODE, FOLDER_MODE, make_folder, write_atomically
from fedfin.service.host import Host, has_user, run
from fedfin.service.unit import OPTIONS, PROGRAM, SERVICES, SETTINGS, STATE, USER, Service, text

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


def check_free(host: Host, service: Service, name: str, folder: Path) -> None:
    """Raises StateError where there is something in the place of a folder that is to move there."""
    place = host.state(service, name)
    if place.exists() and not place.samefile(folder):
        raise StateError(
            f"{place} is there already: a service of that name has its folder there; `fedfin {service.group} service"
            f" uninstall {name}` takes it away"
        )


def install(
    host: Host, service: Service, name: str, folder: Path, options: Sequence[str], *, gpu: bool
) -> Path:
    """Move the folder there, enable and start the service; where the folder is now. Raises StateError."""
    check_free(host, service, name, folder)
    host.make_user()
    _write_unit(host, service, name, gpu=gpu)
    line = f'{OPTIONS}="{" ".join(map(shlex.quote, options))}"\n'
    _put(host.options(service, name), line, FILE_MODE)
    place = host.state(service, name)
    if not place.exists():
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(folder, place)
    give(place)
    run("systemctl", "daemon-reload")
    run("systemctl", "enable", "--now", service.instance(name))
    return place


def keep_secret(folder: Path, file: Path) -> Path:
    """A copy of a password, key or CA in the service's folder, for it alone."""
    make_folder(folder / SECRETS)
    copy = folder / SECRETS / file.name
    if copy.exists() and copy.read_bytes() != file.read_bytes():
        raise StateError(f"{copy} is there already, and is another file than {file}; give that another name")
    write_atomically(copy, file.read_bytes())
    return copy


def give(folder: Path) -> None:
    """To the services' user, and nobody else."""
    for path in (folder, *folder.rglob("*")):
        if not path.is_symlink():
            path.chmod(FOLDER_MODE if path.is_dir() else FILE_MODE)
        shutil.chown(path, USER, USER)


def uninstall(host: Host, service: Service, name: str, *, keep_state: bool) -> list[Path]:
    """Stop the service and remove what `install` put there; what of it is kept. Raises StateError."""
    place, options = host.state(service, name), host.options(service, name)
    if not (place.exists() or options.exists()):
        raise StateError(f"there is no service {service.instance(name)}: {place} is not there")
    run("systemctl", "disable", "--now", service.instance(name))
    shutil.rmtree(_own_settings(host, service, name), ignore_errors=True)
    options.unlink(missing_ok=True)
    if not keep_state:
        shutil.rmtree(place, ignore_errors=True)
    if not (place.parent.is_dir() and any(place.parent.iterdir())):
        host.unit(service).unlink(missing_ok=True)  # the last of its kind
    for empty in (place.parent, host.path(STATE), host.path(SETTINGS)):
        with contextlib.suppress(OSError):
            empty.rmdir()
    run("systemctl", "daemon-reload")
    if not host.path(STATE).exists() and not any(map(host.is_packaged, SERVICES)) and has_user():
        run("userdel", USER)
    return [place] if place.exists() else []


def _write_unit(host: Host, service: Service, name: str, *, gpu: bool) -> None:
    if not host.is_packaged(service):
        _put(host.unit(service), text(service, _program(host)), 0o644)
    settings = _own_settings(host, service, name)
    if host.systemd_version() >= _STEPS_SINCE:
        _put(settings / "back-off.conf", _BACK_OFF, 0o644)
    if gpu:
        _put(settings / "gpu.conf", _GPU, 0o644)


def _own_settings(host: Host, service: Service, name: str) -> Path:
    return host.unit(service).with_name(f"{service.instance(name)}.d")


def _program(host: Host) -> str:
    """The command that runs now, where the service can see it. Raises StateError."""
    found = shutil.which(sys.argv[0]) or PROGRAM
    path = Path(found).absolute()
    if host.hides(path.resolve()) or host.hides(path):
        raise StateError(
            f"{path} is in a home folder, which services do not see: install FedFIN elsewhere, as in /opt/fedfin"
            " (docs/install.md)"
        )
    return str(path)


def _put(path: Path, content: str, mode: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, content.encode())
    path.chmod(mode)
