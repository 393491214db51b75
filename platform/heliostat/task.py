"""The contract: how one replica starts, how it takes one step, what it tells.

A run is a matrix of replicas × steps.  The randomness of cell ``(r, t)`` is::

    key(r, t) = fold_in(fold_in(root, r), t)        init is t = 0, steps are 1…T

and nothing else, so a trajectory depends on (task, seed, replica, step) only: never on
chunk sizes, worker counts, the planned length or retries.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from inspect import CO_VARKEYWORDS
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Self

from heliostat.errors import RequestError, did_you_mean

if TYPE_CHECKING:
    import xarray as xr

    from heliostat.answer import Answer


class Var(NamedTuple):
    """What one number (or array) of a row is: its labels, its type and its unit.

    Args:
        dims: names of the axes behind replica and step; ``()`` is a scalar.
        dtype: numpy name of the type; ``"float"`` is the run's working precision
            (float32, float64 under ``--x64``); ``"str"`` only in untraced tasks.
        units: CF unit, ``"1"`` where dimensionless.
        about: the long name, shown on plots' axes.
        known: entries of the headline that are known values of it, and of nothing else;
            drawn beside it. Others are drawn beside all that has their unit.
    """

    dims: tuple[str, ...] = ()
    dtype: str = "float"
    units: str = "1"
    about: str = ""
    known: tuple[str, ...] = ()


class Estimate(NamedTuple):
    """A number that a run exists to find, with its one-sigma error and its unit."""

    value: float
    error: float = float("nan")
    units: str = "1"
    source: str = "this run"

    def __str__(self) -> str:
        unit = "" if self.units == "1" else f" {self.units}"
        return format_estimate(self.value, self.error) + unit


ROUNDING = 2e-15
"""Relative to a value: below it, float64 has no errors to tell."""


def format_estimate(value: float, error: float) -> str:
    """Value and error as physicists print them: the error keeps two digits, and is left
    out where there is none, or only what rounding leaves of one.

    Example:
        >>> format_estimate(-8.0705, 2e-4), format_estimate(0.5, 3e-17)
        ('-8.07050(20)', '0.5')
    """
    import math

    least = ROUNDING * abs(value) if math.isfinite(value) else 0.0
    if not least < error < math.inf:
        return f"{value:.7g}"
    digits = max(0, 1 - math.floor(math.log10(error)))
    return f"{value:.{digits}f}({round(error * 10**digits):d})"


class File(str):
    """A path to input data; a run's identity holds the SHA-256 of its content.

    A field of this type accepts a path; the identity has ``sha256:…`` in its place:
    another file of the same content is the same run, an edited one is another.  To
    resume or replay, the file must be where it was.
    """

    @property
    def path(self) -> Path:
        return Path(self).expanduser()


@dataclass(frozen=True)
class Task:
    """What every science implements: two pure functions and a table of what they emit.

    Subclasses are frozen dataclasses whose fields are scalars, strings, tuples,
    :class:`File` and :class:`heliostat.Code`; the comment after a field is its
    ``--help`` text.  The configuration *is* the identity of a run.

    ``init`` and ``step`` are written for one replica in the global view; the platform
    maps them over the replicas of a block, and splits the leading axis of the state
    fields named in ``sharded`` over the devices of several workers.

    Example:
        >>> import jax, jax.numpy as jnp, heliostat as hs
        >>> from dataclasses import dataclass
        >>> from typing import NamedTuple
        >>> class State(NamedTuple):
        ...     x: jax.Array  # () position
        >>> @dataclass(frozen=True)
        ... class Walk(hs.Task):
        ...     sigma: float = 1.0  # step size, dimensionless
        ...     emits = {"x": hs.Var(about="position")}
        ...     def init(self, key, replica, data):
        ...         return State(jnp.zeros(()))
        ...     def step(self, key, state, data):
        ...         x = state.x + self.sigma * jax.random.normal(key)
        ...         return State(x), {"x": x}
        >>> hs.check_task(Walk())  # doctest: +SKIP
    """

    emits: ClassVar[Mapping[str, Var]] = {}
    """One entry per variable of a row."""

    replicas: ClassVar[int] = 1
    """How many replicas a run has; may be a field or a property."""

    width: ClassVar[int] = 1
    """Replicas in one block: the unit that a worker holds and XLA vectorises."""

    stride: ClassVar[int] = 100
    """Steps between digests; every commit and kept state sits on its multiples."""

    steps: ClassVar[int] = 1000
    """Natural length of a run; may be a property."""

    replica_dim: ClassVar[str] = "replica"
    step_dim: ClassVar[str] = "step"
    """Names of the axes of rows. A run of one replica has no replica axis, unless its
    task names that axis itself."""

    coords: ClassVar[Mapping[str, Sequence[str]]] = {}
    """Names of the entries along further dims of rows, by dim; may be a property."""

    observes: ClassVar[Mapping[str, Var]] = {}
    """One entry per variable of :meth:`observe`."""

    kept: ClassVar[int | None] = 16
    """States kept of each block: the first, the last and a few between; at least 3.
    None: that of every stride, each a commit of its own."""

    finds: ClassVar[tuple[str, ...]] = ()
    """Names that :meth:`headline` can have; then a condition on others is refused."""

    sharded: ClassVar[tuple[str, ...]] = ()
    """State fields whose leading axis may be split over devices."""

    packable: ClassVar[tuple[str, ...]] = ()
    """Number fields that ``init``, ``step`` and ``observe`` only compute with: they are
    arguments of the compiled program, so that a sweep over them compiles once and lies
    in one record. Nothing else may depend on them but ``headline``: no shape, no
    Python branch, no :meth:`prepare`."""

    traced: ClassVar[bool] = True
    """False: ``step`` is plain or async Python and its state is JSON-able."""

    task_version: ClassVar[int] = 1
    """Bumped by the author when results change."""

    def __new__(cls, *values: Any, **fields: Any) -> Self:
        """Refuse a field that there is not, by a line that says which there are."""
        made = cls.__init__.__code__
        known = made.co_varnames[1 : made.co_argcount + made.co_kwonlyargcount]
        for name in () if made.co_flags & CO_VARKEYWORDS else fields:
            if name not in known:
                hint = did_you_mean(name, known) or f"; there are {', '.join(known)}"
                raise RequestError(f"{cls.__name__} has no field '{name}'{hint}")
        return super().__new__(cls)

    @classmethod
    def verbs(cls) -> Mapping[str, Callable[..., Answer]]:
        """What else can be done: ``heliostat TASK VERB``, by name.

        The parameters of a verb are its options, their help is in its docstring. If
        the first one is ``task``, the fields are options too, and it receives the task
        made of them. It returns a :class:`heliostat.Answer`.
        """
        return {}

    def prepare(self) -> Any:
        """Host work, once per worker: data sets, integrals. Returns a pytree."""
        return None

    def init(self, key: Any, replica: Any, data: Any) -> Any:
        """The state of one replica before its first step, a NamedTuple of arrays."""
        raise NotImplementedError(f"{type(self).__name__} must define init")

    def step(self, key: Any, state: Any, data: Any) -> tuple[Any, dict[str, Any]]:
        """One transition: the next state, and a row that matches ``emits``."""
        raise NotImplementedError(f"{type(self).__name__} must define step")

    def observe(self, state: Any, data: Any) -> dict[str, Any]:
        """What is wide or costly to tell of one replica, once a stride.

        It sees the state after every multiple of the stride, and must match
        ``observes``.  A shorter tail of a run has none.
        """
        raise NotImplementedError(f"{type(self).__name__} must define observe")

    def validation(self, state: Any, data: Any) -> Any:
        """The loss of one replica by which its fields are judged, (), a float.

        Sweeps differentiate it in ``packable`` fields, through the whole run, by
        forward mode (``search="hypergradient"``): so everything on its way must have a
        derivative.  A run's is the mean over its replicas.

        Example:
            >>> def validation(self, state, data):      # examples that step never saw
            ...     return jnp.mean((data.x @ state.w - data.y) ** 2)
        """
        raise NotImplementedError(f"{type(self).__name__} has no validation")

    def canonical(self) -> dict[str, Any]:
        """Fields with several spellings of one meaning, in the one that is hashed."""
        return {}

    def headline(self, rows: xr.Dataset) -> Mapping[str, Estimate]:
        """What the run found so far, from its rows; called live and at the end."""
        return {}

    def tree(self, rows: xr.Dataset) -> Mapping[str, xr.Dataset]:
        """The rows as the groups that the tools of its science expect."""
        return {"rows": rows}


def check_used(task: Task, uses: Mapping[str, tuple[bool, str]]) -> None:
    """Refuse fields that were given though nothing reads them: they would make another
    run of the same numbers.

    Args:
        task: whose fields they are.
        uses: for a field, whether anything reads it, and what it is for.

    Raises:
        ValueError: for the first that differs from its default and is not read.

    Example:
        >>> @dataclass(frozen=True)
        ... class Walk(Task):
        ...     sigma: float = 1.0
        >>> check_used(Walk(2.0), {"sigma": (False, "slow walks")})
        Traceback (most recent call last):
        ValueError: sigma 2.0: nothing reads it here, it is for slow walks; leave it out
    """
    for field in fields(task):
        used, purpose = uses.get(field.name, (True, ""))
        given = getattr(task, field.name)
        if not used and given != field.default:
            raise ValueError(
                f"{field.name} {given}: nothing reads it here, it is for {purpose}; "
                "leave it out"
            )
