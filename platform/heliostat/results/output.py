"""Files that a user names: complete or absent."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path

from heliostat.errors import RequestError


def write_output(output: str | Path, content: bytes | memoryview) -> Path:
    """Write a file that gets its name when it is complete.

    Args:
        output: path of the file; one that exists is replaced.
        content: all of its bytes.

    Returns:
        The path.

    Raises:
        RequestError: if it cannot be written; nothing is left then.
    """
    path = Path(output)
    try:
        _write(path.resolve(), content)  # a link stays a link
    except OSError as error:
        reason = error.strerror or error
        raise RequestError(f"{path} cannot be written: {reason}") from error
    return path


def _write(path: Path, content: bytes | memoryview) -> None:
    if path.exists() and not path.is_file():  # a device, such as /dev/stdout
        path.write_bytes(content)
        return
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}.partial")
    try:
        partial.write_bytes(content)
        os.replace(partial, path)
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
