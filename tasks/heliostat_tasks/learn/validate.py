"""Checks of the fields of the task: one line says what is wrong."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

LEAST = {
    "size": 3,
    "samples": 2,
    "features": 1,
    "blocks": 1,
    "batch": 1,
    "moves": 1,
    "longest": 1,
    "particles": 2,
    "q": 3,
    "train": 0,
    "warmup": 0,
    "evaluate": 0,
    "settle": 0,
    "data_seed": 0,
}
"""Smallest values of the counts."""


def check_fields(fields: Mapping[str, Any]) -> None:
    """Refuse fields that make no sense.

    Args:
        fields: values by name, with the penalty as ``l1``.

    Raises:
        ValueError: with the value given and the value expected.
    """
    for name, least in LEAST.items():
        if not fields[name] >= least:
            raise ValueError(f"{name} {fields[name]}: expected {least} or more")
    if not fields["l1"] >= 0:
        raise ValueError(f"l1 {fields['l1']}: expected 0 or more")
    if not 0 <= fields["decay"] <= 1:
        raise ValueError(f"decay {fields['decay']}: expected a share, 0 to 1")
    if not 0 <= fields["ema"] < 1:
        raise ValueError(f"ema {fields['ema']}: expected 0 to less than 1")
    if not fields["lr"] > 0:
        raise ValueError(f"lr {fields['lr']}: expected more than 0")
    if fields["q"] > 256:
        raise ValueError(f"q {fields['q']}: expected 3 to 256 values")
    _check_chains(fields["batch"], fields["buffer"])
    if fields["evaluate"]:
        _check_pass(fields)
    if fields["test"] is not None and fields["data"] is None:
        raise ValueError("test is the held-out part of data: give data too")


def uses(fields: Mapping[str, Any]) -> dict[str, tuple[bool, str]]:
    """Map each field that only some runs read to whether this one does, and its use."""
    model = fields["model"]
    lattice = (
        fields["data"] is None and model != "ebm",
        "data drawn from a lattice, model ising or potts",
    )
    network = (model == "ebm", "model ebm")
    passes = (fields["evaluate"] > 0, "a pass of annealing, evaluate 1 or more")
    return {
        **dict.fromkeys(("size", "coupling", "samples", "data_seed"), lattice),
        **dict.fromkeys(("features", "blocks"), network),
        **dict.fromkeys(("temperatures", "particles", "settle"), passes),
        "q": (model == "potts", "model potts"),
        "l1": (model != "ebm", "couplings, model ising or potts"),
        "longest": (fields["sampler"] == "path", "sampler path"),
    }


def _check_chains(batch: int, buffer: int) -> None:
    if batch > buffer:
        raise ValueError(
            f"batch {batch} is drawn from a buffer of {buffer}: expected at most as "
            "many"
        )
    if buffer % batch:
        raise ValueError(f"buffer {buffer}: expected a multiple of batch, {batch}")


def _check_pass(fields: Mapping[str, Any]) -> None:
    temperatures, evaluate = fields["temperatures"], fields["evaluate"]
    if temperatures < 1 or temperatures % evaluate:
        raise ValueError(
            f"temperatures {temperatures}: expected a multiple of evaluate, "
            f"{evaluate}, so that all steps take equally many"
        )
    if fields["particles"] > fields["buffer"]:
        raise ValueError(
            f"particles {fields['particles']}: expected at most {fields['buffer']}, "
            "the buffer that they start from"
        )
