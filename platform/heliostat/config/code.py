"""Fields that hold functions of users: ``FILE.py:NAME``.

Code is read and executed only if the user of this process gave its path.  A store holds
the digest of code, never its text, and nothing is read from a path in a store.
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
"""Form of code in the identity of a run: digest of the text, and name."""

_COUNT = itertools.count()


class Code(str):
    """A function or another object that a user's file defines: ``"FILE.py:NAME"``.

    The constructor reads the text of the file, and the value carries the text to
    workers that have no such file.  A run's identity holds ``sha256:…:NAME``, with the
    digest of the text: a copy of the file is the same code, an edited file is other
    code.  ``sha256:…:NAME`` is a valid value too: code without its text.  Two values
    are equal if their texts and names are equal, for any paths of the files.

    Raises:
        RequestError: if the file does not exist, or does not define the name.

    Example:
        >>> import heliostat as hs
        >>> from pathlib import Path
        >>> _ = Path("model.py").write_text("def log_density(x): return -(x**2) / 2")
        >>> hs.Code("model.py:log_density").load()(3.0)
        -4.5
    """

    text: str | None
    """Text of the file, or None for a reference without text."""

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
        """Canonical form: the digest of the text, and the name."""
        if self.text is None:
            return str(self)
        digest = hashlib.sha256(self.text.encode()).hexdigest()
        return f"sha256:{digest}:{self.name}"

    def load(self) -> Any:
        """Execute the text in a new module, and return the object of that name.

        Raises:
            RequestError: if the text is missing, or raises an error.
        """
        if self.text is None:
            raise RequestError(
                f"code of {self.name}: its text is not part of the store; give it with "
                f"--code FILE.py:{self.name} (code='FILE.py:{self.name}' in Python)"
            )
        module, before = self._module(), set(sys.modules)
        try:
            exec(compile(self.text, str(module.__file__), "exec"), vars(module))
            _refuse_neighbours(set(sys.modules) - before, Path(str(module.__file__)))
            return vars(module)[self.name]
        except (Exception, SystemExit) as error:  # a user's file may raise anything
            del sys.modules[module.__name__]
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            raise RequestError(f"code '{self}' cannot be loaded: {reason}") from error

    def _module(self) -> ModuleType:
        """Return an empty module under a name that no import finds."""
        module = ModuleType(f"heliostat_code_{next(_COUNT)}")
        file = Path(self.rpartition(":")[0]).expanduser().absolute()
        module.__file__ = str(file)
        sys.modules[module.__name__] = module  # dataclasses look up their module
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
    """Refuse code that imports files beside it: their text is in no digest.

    Raises:
        ImportError: if one of the new modules is such a file.
    """
    for name in sorted(names):
        path = getattr(sys.modules.get(name), "__file__", None)
        if path and Path(path).absolute().parent in (file.parent, Path.cwd()):
            del sys.modules[name]
            raise ImportError(
                f"it imports {Path(path).name} beside it, which is not part of a run's "
                "identity; put all code into one file, or install that module"
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
        raise RequestError(f"code '{value}': {file} is not UTF-8 text") from error


def _defined(value: str, text: str) -> set[str]:
    """Return the names that a text defines at top level, without executing it."""
    try:
        body = ast.parse(text).body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        reason = " ".join(str(error).split())
        raise RequestError(f"code '{value}' is not valid Python: {reason}") from error
    names = set()
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign) and node.value:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            for target in targets:
                parts = (n for n in ast.walk(target) if isinstance(n, ast.Name))
                names |= {n.id for n in parts if isinstance(n.ctx, ast.Store)}
    return names
