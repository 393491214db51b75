"""Report of an audit: the signed statement, its numbers as netCDF, and a plot."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import xarray as xr

from heliostat_tasks.provenance.transcript.file_format import checkpoint_steps, segments
from heliostat_tasks.provenance.transcript.files import write_file
from heliostat_tasks.provenance.transcript.signing import KeyPair, seal
from heliostat_tasks.provenance.verify.distances import effect_names
from heliostat_tasks.provenance.verify.findings import Audit
from heliostat_tasks.provenance.verify.memorisation import QUANTILES
from heliostat_tasks.provenance.verify.statement import statement

STATEMENT, NUMBERS, PLOT = "report.dsse.json", "report.nc", "report.png"
TESTS = (
    *("effect", "auc"),
    *(f"fbq_{p}" for p in QUANTILES),
    *(f"lambda_upper_{p}" for p in QUANTILES),
    *("p_value", "p_adjusted"),
)


def publish_report(audit: Audit, folder: Path, work: Path, key: KeyPair) -> None:
    """Write the signed statement, and numbers and plot if a segment was measured.

    Args:
        audit: the findings.
        folder: folder of the report.
        work: an empty folder, in which files are made before they are moved.
        key: the verifier's.
    """
    write_file(folder / STATEMENT, seal(statement(audit), "report", key))
    if audit.moves:
        from heliostat_tasks.provenance.plots import plot_report

        numbers = dataset(audit)
        numbers.to_netcdf(work / NUMBERS, engine="h5netcdf")
        plot_report(numbers, str(work / PLOT))
        for name in (NUMBERS, PLOT):
            write_file(folder / name, (work / name).read_bytes())


def dataset(audit: Audit) -> xr.Dataset:
    """Collect distances, movements and tests by segment, tensor and test."""
    claims = audit.claims
    assert claims is not None
    names = sorted(audit.moves[0].lengths)
    columns = [*names, "weights", *effect_names(names)]
    ends = segments(claims.task)
    result = xr.Dataset(
        {
            "distance": (("segment", "tensor"), _distances(audit, columns)),
            "movement": (("segment", "tensor"), _movements(audit, names, columns)),
            "statistic": (("segment", "test"), _statistics(audit)),
            "kind": ("segment", _kinds(audit)),
        },
        coords={
            "segment": np.arange(1, len(audit.moves) + 1),
            "first_step": ("segment", [a + 1 for a, _ in ends]),
            "last_step": ("segment", [b for _, b in ends]),
            "tensor": columns,
            "test": list(TESTS),
        },
        attrs={"verdict": audit.verdict, "epsilon": audit.policy.epsilon},
    )
    for name in ("distance", "movement", "statistic"):
        result[name].attrs["units"] = "1"
    if audit.memorisation.size:
        about = {"units": "nat", "long_name": "memorisation M(d, W)"}
        values = audit.memorisation
        result["memorisation"] = (("checkpoint", "shown"), values, about)
        steps = checkpoint_steps(claims.task)
        result = result.assign_coords(checkpoint=steps, shown=audit.plotted + 1)
    return result


def _distances(audit: Audit, columns: list[str]) -> np.ndarray:
    """(segment, tensor); NaN for segments that were not replayed."""
    table = np.full((len(audit.moves), len(columns)), np.nan)
    for replay in audit.replays:
        table[replay.segment] = [replay.distances[name] for name in columns]
    return table


def _movements(audit: Audit, names: list[str], columns: list[str]) -> np.ndarray:
    """(segment, tensor); NaN for effects of moments, which have none."""
    table = np.full((len(audit.moves), len(columns)), np.nan)
    table[:, : len(names) + 1] = [
        [m.lengths[n] for n in names] + [m.total] for m in audit.moves
    ]
    return table


def _statistics(audit: Audit) -> np.ndarray:
    """(segment, test); NaN without tests."""
    table = np.full((len(audit.moves), len(TESTS)), np.nan)
    for i, t in enumerate(audit.traces):
        table[i] = [t.effect, t.auc, *t.fbq, *t.bound, t.p_value, audit.adjusted[i]]
    return table


def _kinds(audit: Audit) -> np.ndarray:
    kinds = np.full(len(audit.moves), "not replayed", dtype="<U12")
    for replay in audit.replays:
        kinds[replay.segment], _ = replay.classify(audit.policy.epsilon)
    return kinds
