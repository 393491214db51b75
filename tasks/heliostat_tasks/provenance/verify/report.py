"""What a verifier signs: an in-toto statement, and the numbers behind it.

The statement has no times and no order of workers in it: the same transcript under the
same policy gives the same bytes, whoever computed them and on how many processes.

Reference: in-toto attestation framework, Statement v1.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from heliostat_tasks.provenance.transcript.signing import Key, sealed
from heliostat_tasks.provenance.transcript.writer import TRANSCRIPT, stops, write
from heliostat_tasks.provenance.verify import sampling
from heliostat_tasks.provenance.verify.audit import Audit, segments_of
from heliostat_tasks.provenance.verify.comparison import PER_TENSOR
from heliostat_tasks.provenance.verify.distances import effects
from heliostat_tasks.provenance.verify.memorisation import QUANTILES

STATEMENT, NUMBERS, PICTURE = "report.dsse.json", "report.nc", "report.png"
PREDICATE = "urn:heliostat:provenance:report:v1"
TESTS = ("effect", "auc", *(f"fbq_{p}" for p in QUANTILES))
TESTS += (*(f"lambda_upper_{p}" for p in QUANTILES), "p_value", "p_adjusted")

NEVER = (
    "that no other training used other data: only this run was looked at",
    "that the data are what they claim to be, or harmless",
    "that the model in use is the one at the end of this transcript",
)


def publish(audit: Audit, folder: Path, work: Path, key: Key) -> None:
    """Write the signed statement, and where there are any, numbers and picture.

    Args:
        work: an empty folder, where files are made before they are moved.
    """
    write(folder / STATEMENT, sealed(statement(audit), "report", key))
    if audit.moves:
        from heliostat_tasks.provenance.plots import draw

        dataset(audit).to_netcdf(work / NUMBERS, engine="h5netcdf")
        draw(dataset(audit), str(work / PICTURE))
        for name in (NUMBERS, PICTURE):
            write(folder / name, (work / name).read_bytes())


def statement(audit: Audit) -> dict[str, Any]:
    """The verdict and its grounds, as an in-toto statement; floats are exact."""
    claims = audit.claims
    subject = [{"name": TRANSCRIPT, "digest": {"sha256": audit.file}}]
    if claims is not None:
        final = claims.entries[stops(claims.task)[-1]]
        subject = [
            {"name": "model", "digest": {"sha256": final["sha256"]}},
            {"name": "transcript", "digest": {"sha256": claims.digest}},
        ]
    predicate = {
        "verdict": audit.verdict,
        "reasons": audit.reasons,
        "policy": _policy(audit),
        "notEstablished": not_established(audit),
    }
    if claims is not None:
        predicate |= {
            "prover": claims.prover,
            "nonce": {n: claims.nonce[n] for n in ("issuer", "nonce", "sequence")},
            "environments": sorted(map(list, set(claims.environments))),
            "records": claims.records,
            "spec": claims.task.spec,
            "scope": scope(audit),
            "replays": [_replay(audit, i) for i in range(len(audit.replays))],
            "flags": {str(s + 1): told for s, told in sorted(audit.flags.items())},
            "memorisation": [_traces(audit, i) for i in range(len(audit.traces))],
        }
    return {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": subject,
        "predicateType": PREDICATE,
        "predicate": predicate,
    }


def not_established(audit: Audit) -> list[str]:
    """What nobody should read into the verdict."""
    told: list[str] = [*NEVER]
    claims = audit.claims
    if claims is None:
        return told
    if audit.policy.prover is None:
        told.append("who the prover is: its key was not known from elsewhere")
    if claims.nonce["issuer"] not in audit.policy.issuers:
        told.append("that the nonce came from somebody independent of the prover")
    if audit.policy.prover is None:
        told.append(
            "that the seed was not chosen among nonces for data a little different, "
            "committed under other keys"
        )
    if claims.nonce["sequence"] > 1:
        told.append(
            f"that the seed was not chosen among {claims.nonce['sequence']}: so many "
            "commitments of this prover, or to these data, were given nonces"
        )
    if not any(np.isfinite(traces.effect) for traces in audit.traces):
        told.append(
            "whether training left traces: nobody looked for them, or there was "
            "nothing to compare with"
        )
    if left := len(audit.moves) - len(audit.replays):
        told.append(f"what happened in {left} segments that were not replayed")
    told += _loose(audit)
    return told


def _loose(audit: Audit) -> list[str]:
    """What replays could not tell where bits did not agree."""
    epsilon = audit.policy.epsilon
    loose = [r for r in audit.replays if r.judged(epsilon)[0] == "tolerance"]
    if not loose or audit.claims is None:
        return []
    way = sum(audit.moves[r.segment].total for r in loose)
    places = len({audit.claims.environments[r.segment] for r in loose})
    return [
        "that records of a batch were seen in the order claimed, that checkpoints were "
        "not nudged, and what the log says below 1e-4 of a loss, in "
        f"{len(loose)} segments that claim {places} other environments: a checkpoint "
        f"may be off by epsilon = {epsilon:g} of its segment's movement in all weights "
        f"({epsilon * way:.3g} summed over these segments) and by "
        f"{PER_TENSOR * epsilon:.1g} in a tensor or moment; what later training makes "
        "of that is not bounded"
    ]


def dataset(audit: Audit) -> xr.Dataset:
    """Distances, movements and tests, by segment, tensor and test."""
    claims = audit.claims
    assert claims is not None
    count, names = len(audit.moves), sorted(audit.moves[0].lengths)
    columns = [*names, "weights", *effects(names)]
    far = np.full((count, len(columns)), np.nan)
    way = np.full_like(far, np.nan)
    kinds = np.full(count, "not replayed", dtype="<U12")
    for replay in audit.replays:
        kinds[replay.segment], _ = replay.judged(audit.policy.epsilon)
        far[replay.segment] = [replay.distances[name] for name in columns]
    tests = np.full((count, len(TESTS)), np.nan)
    for i, told in enumerate(audit.traces):
        tests[i] = [told.effect, told.auc, *told.fbq, *told.bound, told.p_value, 0.0]
        tests[i, -1] = audit.adjusted[i]
    ends = segments_of(claims)
    way[:, : len(names) + 1] = [
        [m.lengths[n] for n in names] + [m.total] for m in audit.moves
    ]
    found = xr.Dataset(
        {
            "distance": (("segment", "tensor"), far, {"units": "1"}),
            "movement": (("segment", "tensor"), way, {"units": "1"}),
            "statistic": (("segment", "test"), tests, {"units": "1"}),
            "kind": ("segment", kinds),
        },
        coords={
            "segment": np.arange(1, count + 1),
            "first_step": ("segment", [a + 1 for a, _ in ends]),
            "last_step": ("segment", [b for _, b in ends]),
            "tensor": columns,
            "test": list(TESTS),
        },
        attrs={"verdict": audit.verdict, "epsilon": audit.policy.epsilon},
    )
    if audit.pictured.size:
        about = {"units": "nat", "long_name": "memorisation M(d, W)"}
        found["memorisation"] = (("checkpoint", "shown"), audit.pictured, about)
        found = found.assign_coords(
            checkpoint=stops(claims.task), shown=audit.shown + 1
        )
    return found


def _policy(audit: Audit) -> dict[str, Any]:
    policy = audit.policy
    return {
        "epsilon": policy.epsilon,
        "budget": policy.budget._asdict(),
        "issuers": sorted(policy.issuers),
        "points": policy.points,
        "prover": policy.prover,
        "segments": policy.segments,
    }


def scope(audit: Audit) -> dict[str, Any]:
    """What was replayed, and how probably that catches what is bad."""
    total, replayed = len(audit.moves), len(audit.plan)
    challenge = audit.policy.challenge
    free = {0, total - 1, *audit.flags} if challenge else set()
    rest = total - len(free)
    probable = {
        str(bad): sampling.caught(rest, max(0, replayed - len(free)), bad)
        for bad in (1, 2, 4, 8)
        if bad <= rest and total
    }
    return {
        "segments": total,
        "planned": [s + 1 for s in audit.plan],
        "challenge": challenge.hex() if challenge else None,
        "catches": probable,
    }


def _replay(audit: Audit, index: int) -> dict[str, Any]:
    replay = audit.replays[index]
    worst, far = replay.worst
    kind, reason = replay.judged(audit.policy.epsilon)
    return {
        "segment": replay.segment + 1,
        "class": kind,
        "reason": reason,
        "firstBadStep": replay.parted,
        "weights": replay.distances["weights"],
        "worst": {"tensor": worst, "distance": far},
    }


def _traces(audit: Audit, index: int) -> dict[str, Any]:
    told = audit.traces[index]
    return {
        "segment": index + 1,
        "effect": told.effect,
        "auc": told.auc,
        "quantiles": list(QUANTILES),
        "fbq": list(told.fbq),
        "lambdaUpper95": list(told.bound),
        "p": told.p_value,
        "pAdjusted": float(audit.adjusted[index]),
    }
