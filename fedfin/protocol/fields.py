"""What fields of several messages and payloads hold."""

from typing import Annotated

import msgspec

from fedfin import limits

Id = Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]
Count = Annotated[int, msgspec.Meta(ge=0, lt=2**31)]
Bitmap = Annotated[bytes, msgspec.Meta(min_length=1, max_length=limits.CHUNKS // 8)]
Reason = Annotated[str, msgspec.Meta(max_length=limits.REASON_CHARS)]
Boot = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{16}\Z")]
Run = Annotated[str, msgspec.Meta(pattern=r"^([0-9a-f]{16})?\Z")]  # empty: none yet
Signature = Annotated[bytes, msgspec.Meta(min_length=64, max_length=64)]  # Ed25519
