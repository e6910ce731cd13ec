"""User name and password, at the broker or a proxy. The password comes from a file or the environment."""

import os
from dataclasses import dataclass
from pathlib import Path

from fedfin.errors import SettingsError

VARIABLE = "FEDFIN_PASSWORD"


@dataclass(frozen=True)
class Login:
    """Who we are; `password_file` None: the password is in the environment variable `variable`."""

    user: str
    password_file: Path | None = None
    variable: str = VARIABLE

    def password(self) -> str:
        """Read it now: it may be renewed while we run. Raises SettingsError."""
        if self.password_file is None:
            if self.variable not in os.environ:
                raise SettingsError(
                    f"user {self.user!r} has no password; name a password file, or set the variable {self.variable}"
                )
            return os.environ[self.variable]
        try:
            text = self.password_file.read_text(encoding="utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(
                f"{self.password_file}: cannot read the password file ({error}); correct its path or permissions"
            ) from None
        if not text:
            raise SettingsError(
                f"{self.password_file}: the password file is empty; write the password into it"
            )
        return text
