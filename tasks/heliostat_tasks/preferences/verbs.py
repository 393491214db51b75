"""Commands of ``heliostat preferences``: label conversations, compare priors."""

from __future__ import annotations

import asyncio
import hashlib
import io
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import heliostat as hs
from heliostat import Answer
from heliostat.answer import command, format_estimate
from heliostat.assistants import Budget, Prices, ReplyCache, Spent
from heliostat.cli import to_argv
from heliostat.results.output import write_output
from heliostat_tasks.preferences import labels
from heliostat_tasks.preferences.conversations import (
    ResponsePair,
    read_pairs,
    sample_pairs,
)
from heliostat_tasks.preferences.features import questions
from heliostat_tasks.preferences.files import inner_suffix
from heliostat_tasks.preferences.labeller import Labeller, LabellingProgress
from heliostat_tasks.preferences.labels import Ask
from heliostat_tasks.preferences.scales import SCALES, compare_scales
from heliostat_tasks.preferences.task import Preferences

if TYPE_CHECKING:
    import pandas as pd

RESUMABLE = "the same command goes on and asks nothing again that was answered"


def label(
    data: Path,
    /,
    *,
    output: Path,
    features: Path | None = None,
    assistant: Literal["local", "endpoint"] = "local",
    url: str = "",
    model: str = "",
    wire: Literal["openai", "anthropic"] = "openai",
    no_temperature: bool = False,
    limit: int | None = None,
    leave_out: bool = False,
    price: tuple[float, float] = (0.0, 0.0),
    cap: float | None = None,
) -> Answer:
    """Label pairs of conversations with an assistant, and write a table.

    Each feature of each pair is asked twice, in both orders. Replies are cached: no
    answered question is asked, or paid for, again.

    Args:
        data: A .jsonl file, or .jsonl.gz, of texts chosen and rejected.
        output: The table to write, .csv or .csv.gz; it must not exist.
        features: A text of lines NAME: QUESTION; default our own 23.
        assistant: The labeller. The key of an endpoint is in $HELIOSTAT_API_KEY.
        url: Address of the endpoint, without its last part: https://host/v1.
        model: The endpoint's name for its model.
        wire: Protocol of the endpoint.
        no_temperature: Send no temperature to the endpoint; default 0.
        limit: Largest number of pairs; a larger limit adds pairs.
        leave_out: Leave out malformed lines, instead of refusing the file.
        price: Price of a million tokens, of prompt and reply.
        cap: Largest sum of money for this file; default no limit.
    """
    data, output = data.expanduser(), output.expanduser()
    temperature = None if no_temperature else 0.0
    labeller = Labeller(assistant, url, model, wire, temperature)
    labeller.check()
    _check_output(output)
    if limit is not None and limit < 1:
        raise hs.RequestError(f"limit {limit}: expected at least 1")
    if assistant == "local" and (any(price) or cap is not None):
        raise hs.RequestError("price and cap: they are for --assistant endpoint")
    by_name, left_out = questions(features), _LeftOut([], [])
    pairs = _pairs(data, limit, left_out.lines if leave_out else None)
    budget = Budget(_ledger(data), Prices(*price), cap)
    with closing(ReplyCache()) as replies:
        try:
            with labeller.connect(budget, replies) as ask:
                table = _label(pairs, by_name, ask, left_out.pairs)
            _write(table, output)
        except KeyboardInterrupt as error:
            raise KeyboardInterrupt(f"interrupted; {RESUMABLE}") from error
        except hs.Paused as error:  # at the cap, or without a server
            raise hs.RunFailed(str(error)) from error
        spent = replies.spent(budget.account)
    return _answer(table, len(by_name), output, left_out, spent)


def scales(
    task: Preferences,
    *,
    over: str = ",".join(map(str, SCALES)),
    seed: int = 0,
    steps: int | None = None,
    store: str | None = None,
    on: str = "local",
    workers: int | None = None,
) -> Answer:
    """Compare scales of the prior by their losses on held-out pairs.

    Each scale is a stored run; runs that exist are not computed again.

    Args:
        over: Scales b of the Laplace prior, separated by commas.
        seed: Root of all randomness.
        steps: Length of each run, warm-up included.
        store: Folder of runs; default $HELIOSTAT_STORE, else ./runs.
        on: local (a Ray of its own), here (this process), auto, or an address.
        workers: Number of workers; default the whole machine or cluster.
    """
    options = {"seed": seed, "steps": steps, "on": on, "workers": workers}
    options |= {"store": store}
    table = compare_scales(task, _numbers(over), **options)
    rows: list[Any] = table.reset_index().to_dict("records")
    best = min(rows, key=lambda row: row["loss"])["scale"]
    held_out = len(task.table.split(task.holdout)[1])
    lines = [
        f"{held_out} pairs held out; loss in nat per pair",
        f"  {'b':8}{'loss':14}{'more':14}{'accuracy':12}{'R-hat':8}run",
        *map(_row, rows),
        f"  next    {_run_line(replace(task, scale=best), options)}",
    ]
    return Answer(lines, {"best": best, "held_out": held_out, "scales": rows})


class _LeftOut(NamedTuple):
    """Messages about lines and pairs without labels."""

    lines: list[str]
    pairs: list[str]

    @property
    def report(self) -> list[str]:
        kinds = {"lines that are no pairs": self.lines, "pairs unanswered": self.pairs}
        return [
            f"  left out  {len(texts)} {kind}, such as: {texts[0]}"
            for kind, texts in kinds.items()
            if texts
        ]


def _check_output(output: Path) -> None:
    if inner_suffix(output) != ".csv":
        raise hs.RequestError(f"{output}: expected an ending of .csv or .csv.gz")
    if output.exists() or output.is_symlink():
        raise hs.RequestError(f"{output} exists already, and is left as it is")
    if not output.absolute().parent.is_dir():
        raise hs.RequestError(f"{output}: there is no such folder")


def _pairs(
    data: Path, limit: int | None, left_out: list[str] | None
) -> list[ResponsePair]:
    pairs = sample_pairs(read_pairs(data, left_out), limit)
    if not pairs:
        raise hs.RequestError(f"{data} holds no pairs")
    return pairs


def _ledger(data: Path) -> str:
    """Name of a file's account, by the file's content."""
    return f"preferences {hashlib.sha256(data.read_bytes()).hexdigest()[:16]}"


def _label(
    pairs: list[ResponsePair],
    features: Mapping[str, str],
    ask: Ask,
    left_out: list[str],
) -> pd.DataFrame:
    progress = LabellingProgress(ask, 2 * len(pairs) * len(features))
    with progress.live():
        work = labels.label(pairs, features, progress, left_out=left_out)
        table = asyncio.run(work)
    if not len(table):
        raise hs.RunFailed(f"no pair found an answer: {left_out[0]}")
    return table


def _write(table: pd.DataFrame, output: Path) -> None:
    try:
        _check_output(output)  # it may have been made meanwhile
        write_output(output, _csv(table, output.suffix == ".gz"))
    except hs.RequestError as error:
        raise hs.StoreError(f"{error}; {RESUMABLE}") from error


def _csv(table: pd.DataFrame, compressed: bool) -> bytes:
    """Return a table as CSV; equal tables give equal bytes, compressed or not."""
    stream = io.BytesIO()
    method = {"method": "gzip", "mtime": 0} if compressed else None
    table.to_csv(stream, index=False, compression=method)
    return stream.getvalue()


def _answer(
    table: pd.DataFrame, features: int, output: Path, left_out: _LeftOut, spent: Spent
) -> Answer:
    kinds = ("unparsed", "inconsistent")
    counts = {kind: sum(map(int, table[kind].tolist())) for kind in kinds}
    pairs = len(table)
    lines = [
        f"labelled {pairs} pairs by {features} features in {output}",
        f"  unparsed      {counts['unparsed']} of {2 * pairs * features} replies",
        f"  inconsistent  {counts['inconsistent']} of {pairs * features} features: "
        "the verdict followed the place",
        *left_out.report,
        f"  charged       {spent.replies} replies, {spent.prompt_tokens} + "
        f"{spent.completion_tokens} tokens, {spent.money:.4g}, for this file so far",
        f"  next          {command('run', 'preferences', '--data', output)}",
    ]
    about = {"path": str(output), "pairs": pairs, "features": features, **counts}
    about |= {
        "left_out": {name: len(texts) for name, texts in left_out._asdict().items()}
    }
    return Answer(lines, about | {"spent": spent._asdict()})


def _numbers(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise hs.RequestError(f"over {text}: expected numbers and commas") from None


def _run_line(task: Preferences, options: Mapping[str, Any]) -> str:
    """Return the command that returns the stored run of a task."""
    given = {name: value for name, value in options.items() if value is not None}
    words = [word for name, value in given.items() for word in (f"--{name}", value)]
    return command("run", "preferences", *to_argv(task), *words)


def _row(row: Mapping[str, Any]) -> str:
    loss, more, accuracy = (
        format_estimate(row[name], row[f"{name}_error"])
        for name in ("loss", "more", "accuracy")
    )
    more = more if row["more"] else "best"
    numbers = f"{row['scale']:<8g}{loss:14}{more:14}{accuracy:12}"
    warning = f"  WARNING: {row['warning']}" if row["warning"] else ""
    return f"  {numbers}{row['rhat']:<8.3f}{row['run']}{warning}"


VERBS: Mapping[str, Callable[..., Answer]] = {"label": label, "scales": scales}
