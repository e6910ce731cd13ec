"""What decoders raise of bytes that are not what they should be."""

import msgspec

# Besides msgspec's own: UnicodeDecodeError and numbers of thousands of digits are ValueErrors, and what is nested a
# thousand times is a RecursionError.
UNDECODABLE = (msgspec.MsgspecError, ValueError, RecursionError)
