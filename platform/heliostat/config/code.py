"""Functions that users write, as fields of a task: ``FILE.py:NAME``.

Code is read and executed only because somebody typed its path in this process.  A store
has its digest, never its text and never a path that anything would be read from.
"""

from __future__ import annotations

import ast
import hashlib
import itertools
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from heliostat.errors import RequestError

REFERENCE = re.compile(r"sha256:[0-9a-f]{64}:[^\W\d]\w*")
"""How the identity of a run spells code: by the digest of its text, and its name."""

_COUNT = itertools.count()


class Code(str):
    """A function or another object that a user's file defines: ``"FILE.py:NAME"``.

    A field of this type reads the text of the file when it is made, and carries it to
    workers that have no such file.  A run's identity holds ``sha256:…:NAME``, of the
    text: another file of the same text is the same run, an edited one is another.
    That spelling is a value too, of code whose text is not there.  Two values are
    equal if text and name are; wherever the file was.

    Raises:
        RequestError: if there is no such file, or it does not define the name.

    Example:
        >>> import heliostat as hs
        >>> from pathlib import Path
        >>> _ = Path("model.py").write_text("def log_density(x): return -(x**2) / 2")
        >>> hs.Code("model.py:log_density").load()(3.0)
        -4.5
    """

    text: str | None
    """The text of the file, or None for a bare reference."""

    def __new__(cls, value: str) -> Code:
        if isinstance(value, Code):
            return _with_text(str(value), value.text)
        if REFERENCE.fullmatch(value):
            return _with_text(value, None)
        path, _, name = value.rpartition(":")
        if not path or not name.isidentifier():
            raise RequestError(f"code '{value}': expected FILE.py:NAME")
        text = _read(value, Path(path).expanduser())
        if name not in _defined(value, text):
            raise RequestError(f"code '{value}': {path} does not define '{name}'")
        return _with_text(value, text)

    @property
    def name(self) -> str:
        """Name of the object in its file."""
        return self.rpartition(":")[2]

    @property
    def reference(self) -> str:
        """The canonical form: the digest of the text, and the name."""
        if self.text is None:
            return str(self)
        digest = hashlib.sha256(self.text.encode()).hexdigest()
        return f"sha256:{digest}:{self.name}"

    def load(self) -> Any:
        """Execute the text in a module of its own; the object of that name.

        Raises:
            RequestError: if the text is not there, or raises.
        """
        if self.text is None:
            raise RequestError(
                f"the code of {self.name} is not part of the store; give it with "
                f"--code FILE.py:{self.name} (code='FILE.py:{self.name}' in Python)"
            )
        module, before = self._module(), set(sys.modules)
        try:
            exec(compile(self.text, str(module.__file__), "exec"), vars(module))
            _refuse_neighbours(set(sys.modules) - before, Path(str(module.__file__)))
            return vars(module)[self.name]
        except (Exception, SystemExit) as error:  # whatever a user's file does
            del sys.modules[module.__name__]
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            raise RequestError(f"code '{self}' cannot be loaded: {reason}") from error

    def _module(self) -> ModuleType:
        """An empty module under a name that no import would find."""
        module = ModuleType(f"heliostat_code_{next(_COUNT)}")
        file = Path(self.rpartition(":")[0]).expanduser().absolute()
        module.__file__ = str(file)
        sys.modules[module.__name__] = module  # dataclasses look their module up
        return module

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Code) and self.reference == other.reference

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return hash(self.reference)

    def __reduce__(self) -> Any:
        return _with_text, (str(self), self.text)


def _refuse_neighbours(names: set[str], file: Path) -> None:
    """Files beside the code would decide what it computes, and be in no digest.

    Raises:
        ImportError: if one of the modules just imported is such a file.
    """
    for name in sorted(names):
        found = getattr(sys.modules.get(name), "__file__", None)
        if found and Path(found).absolute().parent in (file.parent, Path.cwd()):
            del sys.modules[name]
            raise ImportError(
                f"it imports {Path(found).name} beside it, which a run's identity does "
                "not hold: put all of it into one file, or install it"
            )


def _with_text(value: str, text: str | None) -> Code:
    code = str.__new__(Code, value)
    code.text = text
    return code


def _read(value: str, file: Path) -> str:
    try:
        return file.read_bytes().decode()
    except OSError as error:
        reason = error.strerror or error
        raise RequestError(f"code '{value}': {file}: {reason}") from error
    except UnicodeDecodeError as error:
        raise RequestError(f"code '{value}': {file} is no text") from error


def _defined(value: str, text: str) -> set[str]:
    """Return the names that a text defines at its top level, without executing it."""
    try:
        body = ast.parse(text).body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        reason = " ".join(str(error).split())
        raise RequestError(f"code '{value}' is no Python: {reason}") from error
    names = set()
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign) and node.value:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            for target in targets:
                found = (n for n in ast.walk(target) if isinstance(n, ast.Name))
                names |= {n.id for n in found if isinstance(n.ctx, ast.Store)}
    return names
