"""Files of a transcript: read through no link and up to a limit, written whole."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from heliostat_tasks.provenance.canonical import Refused


def read_file(folder: Path, name: str, limit: int) -> bytes:
    """Read a regular file below a stranger's folder, through no link.

    Args:
        folder: the stranger's.
        name: path below the folder, with slashes.
        limit: largest size, bytes.

    Raises:
        Refused: if it is not a regular file, or larger than the limit.
    """
    with _open(folder, name) as handle:
        about = os.fstat(handle)
        if not stat.S_ISREG(about.st_mode):
            raise Refused(f"{name} is no regular file")
        if about.st_size > limit:
            raise Refused(f"{name} has more than {limit} bytes")
        with os.fdopen(os.dup(handle), "rb") as stream:
            content = stream.read(limit + 1)
    if len(content) > limit:
        raise Refused(f"{name} has more than {limit} bytes")
    return content


def write_file(path: Path, content: bytes) -> None:
    """Write a file atomically; a link in its place is replaced, not followed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, partial = tempfile.mkstemp(dir=path.parent, prefix=".partial-")
    with os.fdopen(handle, "wb") as stream:
        stream.write(content)
    os.chmod(partial, 0o644)
    os.replace(partial, path)


@contextmanager
def _open(folder: Path, name: str) -> Generator[int]:
    """Yield a file's handle; each folder on the way is opened without links."""
    *folders, last = name.split("/")
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
    handles: list[int] = []
    try:
        handles.append(os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
        for part in folders:
            inner = os.open(part, flags | os.O_DIRECTORY, dir_fd=handles[-1])
            handles.append(inner)
        handles.append(os.open(last, flags | os.O_NONBLOCK, dir_fd=handles[-1]))
        yield handles[-1]
    except OSError as error:
        raise Refused(f"{name} cannot be read: {error.strerror}") from error
    finally:
        for handle in handles:
            os.close(handle)
