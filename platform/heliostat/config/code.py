"""Fields that hold functions of users: ``FILE.py:NAME``.

Code is read and executed only if the user of this process gave its path.  A store holds
the digest of code and of the data files that it reads while it is executed, never their
content, and nothing is read from a path in a store.
"""

from __future__ import annotations

import ast
import hashlib
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from heliostat.config.execution import Inputs, execute, inputs_of, look_up, refuse_reads
from heliostat.errors import RequestError
from heliostat.system import audit

REFERENCE = re.compile(r"sha256:[0-9a-f]{64}:[^\W\d]\w*(\.[^\W\d]\w*)*")
"""Form of code in the identity of a run: digest of the text, and name."""

_INDEPENDENT: set[tuple[str, Path, str]] = set()
"""Text, file and name of code that reads nothing: it is not executed twice again."""


class Code(str):
    """A function or another object that a user's file defines: ``"FILE.py:NAME"``.

    The constructor reads the text of the file, and the value carries the text to
    workers that have no such file.  A run's identity holds ``sha256:…:NAME``, with the
    digest of the text: a copy of the file is the same code, an edited file is other
    code.  Data files that the code opens while it is executed belong to the digest too.
    ``sha256:…:NAME`` is a valid value: code without its text.  Two values are equal if
    their digests and names are equal, for any paths of the files.  The name may be
    dotted: ``"FILE.py:Model.log_p"``.

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

    file: Path
    """Absolute path of the file; workers see data files beside it there."""

    _inputs: Inputs | None

    def __new__(cls, value: str) -> Code:
        if isinstance(value, Code):
            return _code(str(value), value.text, value.file, value._inputs)
        if REFERENCE.fullmatch(value):
            return _code(value, None, Path())
        path, _, name = value.rpartition(":")
        if not path or not all(map(str.isidentifier, name.split("."))):
            raise RequestError(f"code '{value}': expected FILE.py:NAME")
        file = Path(path).expanduser().absolute()
        text = _read(value, file)
        defined = set(_defined(_parsed(value, text)))
        if not {name.partition(".")[0], "*"} & defined:
            raise RequestError(f"code '{value}': {path} does not define '{name}'")
        return _code(value, text, file)

    @property
    def name(self) -> str:
        """Name of the object in its file."""
        return self.rpartition(":")[2]

    @property
    def reference(self) -> str:
        """Canonical form: the digest of the text and of what it reads, and the name.

        Raises:
            RequestError: if the text cannot be executed, or does not fix the object.
        """
        if self.text is None:
            return str(self)
        digest = hashlib.sha256(self.text.encode() + self.inputs.suffix).hexdigest()
        return f"sha256:{digest}:{self.name}"

    @property
    def inputs(self) -> Inputs:
        """Data files that the code reads while it is executed, once and for all."""
        inputs, key = self._inputs, (self._text, self.file, self.name)
        if inputs is None:
            known = key in _INDEPENDENT
            inputs = Inputs() if known else self._attempt(lambda: inputs_of(*key))
            _INDEPENDENT.update([key] * (inputs == Inputs()))
            self._inputs = inputs
        return inputs

    def load(self) -> Any:
        """Execute the text in a new module, and return the object of that name.

        Raises:
            RequestError: if the text is missing or raises an error, or if a data file
                has changed since the identity was taken.
        """
        text, inputs = self._text, self.inputs
        execution = self._attempt(lambda: execute(text, self.file))
        if execution.inputs.files != inputs.files:
            names = ", ".join(sorted(p.name for p in inputs.paths))
            raise RequestError(
                f"code '{self}': the data that it reads ({names}) have changed since "
                "the run was defined; define it again"
            )
        remedy = "read the file when the code is loaded: at the top, in no function"
        refuse = refuse_reads(str(self.file), inputs.paths, remedy)
        audit.observe(str(self.file), refuse)
        return self._attempt(lambda: look_up(execution.module, self.name))

    @property
    def _text(self) -> str:
        if self.text is None:
            raise RequestError(
                f"code of {self.name}: its text is not part of the store; give it with "
                f"--code FILE.py:{self.name} (code='FILE.py:{self.name}' in Python)"
            )
        return self.text

    def _attempt(self, action: Callable[[], Any]) -> Any:
        """Run what executes the text; whatever that raises becomes one line."""
        try:
            return action()
        except RequestError as error:
            raise RequestError(f"code '{self}': {error}") from error
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # a user's file may raise anything
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            raise RequestError(f"code '{self}' cannot be loaded: {reason}") from error

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Code) or self.name != other.name:
            return False
        texts = {self.text, other.text} - {None}
        return self is other or (len(texts) < 2 and self.reference == other.reference)

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return hash(self.name)  # a digest of the text would need its execution

    def __reduce__(self) -> Any:
        return _code, (str(self), self.text, self.file, self._inputs)


def _code(
    value: str, text: str | None, file: Path, inputs: Inputs | None = None
) -> Code:
    code = str.__new__(Code, value)
    code.text, code.file = text, file
    vars(code)["_inputs"] = inputs
    return code


def _read(value: str, file: Path) -> str:
    try:
        return file.read_bytes().decode()
    except OSError as error:
        reason = error.strerror or error
        raise RequestError(f"code '{value}': {file}: {reason}") from error
    except UnicodeDecodeError as error:
        raise RequestError(f"code '{value}': {file} is not UTF-8 text") from error


def _parsed(value: str, text: str) -> ast.Module:
    try:
        return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        reason = " ".join(str(error).split())
        raise RequestError(f"code '{value}' is not valid Python: {reason}") from error


def _defined(node: ast.AST) -> Iterator[str]:
    """Yield the names that a text may define at top level, without executing it.

    ``*`` stands for the names of ``from MODULE import *``.
    """
    for child in ast.iter_child_nodes(node):
        match child:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                yield child.name
            case ast.Import() | ast.ImportFrom():
                yield from (a.asname or a.name.partition(".")[0] for a in child.names)
            case ast.AnnAssign(value=None) | ast.Lambda():
                pass
            case ast.Name(ctx=ast.Store()):
                yield child.id
            case _:
                yield from _defined(child)
