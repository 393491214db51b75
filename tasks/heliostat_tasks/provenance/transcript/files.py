"""Opening a stranger's files: regular ones, through no link, up to a limit."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from heliostat_tasks.provenance.transcript.formats import Refused


def read(folder: Path, name: str, most: int) -> bytes:
    """A regular file below a folder, through no link; at most so many bytes.

    Raises:
        Refused: if it is anything else, or larger.
    """
    with _opened(folder, name) as handle:
        about = os.fstat(handle)
        if not stat.S_ISREG(about.st_mode):
            raise Refused(f"{name} is no regular file")
        if about.st_size > most:
            raise Refused(f"{name} has more than {most} bytes")
        with os.fdopen(os.dup(handle), "rb") as stream:
            content = stream.read(most + 1)
    if len(content) > most:
        raise Refused(f"{name} has more than {most} bytes")
    return content


@contextmanager
def _opened(folder: Path, name: str) -> Iterator[int]:
    """A handle of a file, each folder on the way opened without following links."""
    *folders, last = name.split("/")
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
    handles: list[int] = []
    try:
        handles.append(os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
        for part in folders:
            one = os.open(part, flags | os.O_DIRECTORY, dir_fd=handles[-1])
            handles.append(one)
        handles.append(os.open(last, flags | os.O_NONBLOCK, dir_fd=handles[-1]))
        yield handles[-1]
    except OSError as error:
        raise Refused(f"{name} cannot be read: {error.strerror}") from error
    finally:
        for handle in handles:
            os.close(handle)
