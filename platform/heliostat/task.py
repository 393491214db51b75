"""Contract of a task: how one replica starts, how it takes a step, what it emits.

A run is a matrix of replicas × steps.  The randomness of ``(r, t)`` is::

    key(r, t) = fold_in(fold_in(root, r), t)        init is t = 0, steps are 1…T

and nothing else, so a trajectory depends on (task, seed, replica, step) only: never on
chunk sizes, worker counts, the planned length or retries.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Self

from heliostat.errors import RequestError
from heliostat.fields import presets
from heliostat.fields.conversion import TaskType

if TYPE_CHECKING:
    import xarray as xr

    from heliostat.answer import Answer, Estimate


class Var(NamedTuple):
    """Declaration of one variable of a row: dims, dtype and unit.

    Args:
        dims: names of the axes after replica and step; ``()`` is a scalar.
        dtype: numpy name of the type; ``"float"`` is the run's working precision
            (float32, or float64 with ``--x64``); ``"str"`` only in untraced tasks.
        units: CF unit, ``"1"`` if dimensionless.
        about: long name, shown on the axes of plots.
        known: entries of the headline that are known values of this variable only, and
            are plotted with it. Other known values are plotted with every variable of
            their unit.
        exact: a checksum or another function of the bits, which rounding changes
            altogether: ``verify`` compares it only where bits can agree.

    Example:
        >>> import heliostat as hs
        >>> hs.Var(units="hartree", about="mean local energy").dims
        ()
    """

    dims: tuple[str, ...] = ()
    dtype: str = "float"
    units: str = "1"
    about: str = ""
    known: tuple[str, ...] = ()
    exact: bool = False


@dataclass(frozen=True)
class Task(metaclass=TaskType):
    """Base class of every science: two pure functions and a table of what they emit.

    One run computes, for replicas r and steps t = 1…T::

        state(r, t), row(r, t) = step(key(r, t), state(r, t-1), data)

    Subclasses are frozen dataclasses whose fields are scalars, strings, tuples,
    :class:`heliostat.File` and :class:`heliostat.Code`; the comment after a field is
    its ``--help`` text.  The configuration *is* the identity of a run.

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
        >>> laws = hs.check_task(Walk(), workers=())
        >>> all(reason is None for reason in laws.values())
        True
    """

    emits: ClassVar[Mapping[str, Var]] = {}
    """One entry per variable of a row."""

    replicas: ClassVar[int] = 1
    """Number of replicas of a run; may be a field or a property."""

    width: ClassVar[int] = 1
    """Number of replicas in a block, which one worker holds and XLA vectorises."""

    stride: ClassVar[int] = 100
    """Steps between digests; commits and kept states but the last lie on multiples."""

    steps: ClassVar[int] = 1000
    """Default length of a run; may be a property."""

    replica_dim: ClassVar[str] = "replica"
    step_dim: ClassVar[str] = "step"
    """Names of the axes of rows. A run of one replica has no replica axis, unless its
    task names that axis itself."""

    coords: ClassVar[Mapping[str, Sequence[str]]] = {}
    """Names of the entries along further dims of rows, by dim; may be a property."""

    observes: ClassVar[Mapping[str, Var]] = {}
    """One entry per variable of :meth:`observe`."""

    kept: ClassVar[int | None] = 16
    """Number of states kept of each block, at least 3: the first, the last and some
    between. None keeps the state of every stride, and commits each stride."""

    finds: ClassVar[tuple[str, ...]] = ()
    """Names that :meth:`headline` can have; if given, ``until`` refuses others."""

    sharded: ClassVar[tuple[str, ...]] = ()
    """State fields whose leading axis may be split over devices."""

    packable: ClassVar[tuple[str, ...]] = ()
    """Number fields that are arguments of the compiled program, so that a sweep over
    them compiles once and is stored in one record. Only ``headline`` and arithmetic in
    ``init``, ``step`` and ``observe`` may depend on them: no shape, no Python branch,
    no :meth:`prepare`."""

    traced: ClassVar[bool] = True
    """False if ``step`` is ordinary or async Python; its state is then JSON."""

    headline_version: ClassVar[int] = 1
    """Version of :meth:`headline`; raise it when the same rows give other estimates, so
    that stored ones are estimated again."""

    asks: ClassVar[tuple[str, ...]] = ()
    """Servers that steps ask, as ``MODEL at ADDRESS``; may be a property. ``verify``
    names them before it replays a step, because a reply may cost money."""

    task_version: ClassVar[int] = 1
    """Version of the results; raise it when a change of the code alters rows."""

    preset_steps: ClassVar[int | None] = None
    """Length that the preset of a task asks for, in place of ``steps``."""

    @classmethod
    def preset(cls, name: str, **fields: Any) -> Self:
        """Return a task with the fields of a preset; given fields replace them.

        Args:
            name: a preset of the task; ``heliostat show TASK`` lists them.
            fields: other fields, by name.

        Returns:
            The task. If the preset has ``steps``, they are the length of its runs.

        Raises:
            RequestError: for an unknown preset or field, with a suggestion.

        Example:
            >>> from heliostat_tasks.vmc import VMC
            >>> task = VMC.preset("quick", molecule="He")
            >>> task.molecule, task.train
            ('He', 300)
        """
        preset = presets.load(cls, name)
        task = cls(**(preset.fields | fields))
        if preset.steps:
            object.__setattr__(task, "preset_steps", preset.steps)
        return task

    @classmethod
    def verbs(cls) -> Mapping[str, Callable[..., Answer]]:
        """Return further commands by name: ``heliostat TASK VERB``.

        The parameters of a verb are its options; its docstring is their help. If the
        first parameter is ``task``, the fields are options too, and the verb receives
        the task built from them. A verb returns a :class:`heliostat.Answer`.

        Returns:
            Function of each verb, by name.
        """
        return {}

    def prepare(self) -> Any:
        """Load or compute host data once per worker: data sets, integrals.

        Returns:
            A pytree, passed to ``init``, ``step`` and ``observe`` as ``data``.
        """
        return None

    def init(self, key: Any, replica: Any, data: Any) -> Any:
        """Return the state of one replica before its first step.

        Args:
            key: JAX random key of (replica, 0).
            replica: index of the replica, () int32.
            data: result of :meth:`prepare`.

        Returns:
            A NamedTuple of arrays.

        Raises:
            RequestError: if the task does not define it.
        """
        raise RequestError(f"{type(self).__name__} must define init")

    def step(self, key: Any, state: Any, data: Any) -> tuple[Any, dict[str, Any]]:
        """Take one step of one replica.

        Args:
            key: JAX random key of (replica, step).
            state: state after the previous step.
            data: result of :meth:`prepare`.

        Returns:
            The next state, and a row: a value for each name in ``emits``.

        Raises:
            RequestError: if the task does not define it.
        """
        raise RequestError(f"{type(self).__name__} must define step")

    def refresh(self, state: Any, data: Any) -> Any:
        """Return a stored state of one replica, with all that it caches computed anew.

        A run whose own state caches something else, beyond rounding, is not resumed.

        Args:
            state: state after any step.
            data: result of :meth:`prepare`.

        Returns:
            The state, as :meth:`step` returns it.
        """
        return state

    def adopt(self, state: Any, data: Any) -> Any:
        """Return the first state of one replica from that of its parent.

        Args:
            state: of the parent, whose other fields may have given it other shapes.
            data: result of :meth:`prepare`.

        Returns:
            A state with the shapes of :meth:`init`; by default :meth:`refresh` of it.
        """
        return self.refresh(state, data)

    def check_parent(self, parent: Any) -> None:
        """Refuse a parent whose states :meth:`adopt` cannot start from.

        Args:
            parent: its task, of this class, width and number of replicas.

        Raises:
            RequestError: for what differs, such as "its size is 3, expected 4".
        """

    def observe(self, state: Any, data: Any) -> dict[str, Any]:
        """Compute wide or costly variables of one replica once per stride.

        Args:
            state: state after a multiple of the stride; a shorter last stride has none.
            data: result of :meth:`prepare`.

        Returns:
            A value for each name in ``observes``.

        Raises:
            RequestError: if the task does not define it.
        """
        raise RequestError(f"{type(self).__name__} must define observe")

    def validation(self, state: Any, data: Any) -> Any:
        """Return the validation loss of one replica, a float of shape ().

        ``search="hypergradient"`` differentiates its mean over replicas with respect to
        ``packable`` fields, by forward mode through the whole run. So every operation
        of ``init`` and ``step`` must have a derivative.

        Args:
            state: state after the last step.
            data: result of :meth:`prepare`.

        Returns:
            The loss, () float.

        Raises:
            RequestError: if the task does not define it.
        """
        raise RequestError(f"{type(self).__name__} must define validation")

    def canonical(self) -> dict[str, Any]:
        """Return the hashed spelling of fields that have several with one meaning.

        Returns:
            JSON values by name of the field; other fields are hashed as they are.
        """
        return {}

    def headline(self, rows: xr.Dataset) -> Mapping[str, Estimate]:
        """Estimate the results of a run from its rows, while it goes on and at the end.

        A task that also needs what it observes defines ``headline(rows, observed)``.

        Args:
            rows: all rows, dims (replica_dim?, step_dim, ...).

        Returns:
            Estimates by name.
        """
        return {}

    def tree(self, rows: xr.Dataset) -> Mapping[str, xr.Dataset]:
        """Return the rows as groups that the tools of the science expect.

        Args:
            rows: all rows, dims (replica_dim?, step_dim, ...).

        Returns:
            A dataset by name of its group.
        """
        return {"rows": rows}
