"""Energies that the heads of ``vmc`` reach in equal training, and what sortlets carry.

    python benchmarks/vmc_heads.py                                # hours: B, N, H2O
    python benchmarks/vmc_heads.py --molecules B --train 300 --seeds 1
    python benchmarks/vmc_heads.py --heads auto --molecules He Be B N --train 3000

It continues where it was interrupted.  The table has the energy above the exact one,
mean and standard error over seeds, and the share of Ψ that each head of a sum carries.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import numpy as np

import heliostat as hs
from heliostat_tasks.vmc import VMC
from heliostat_tasks.vmc.chemistry.exact import exact

HEADS = (
    *("sortlet", "smooth", "banded", "vandermonde", "determinant"),
    *("determinant+sortlet", "determinant+smooth", "determinant+vandermonde"),
)


def line(runs: Sequence[hs.Run], exact_energy: float) -> str:
    """Summarise the runs of one molecule and head."""
    found = [run.headline["energy"] for run in runs]
    energies = np.array([energy.value for energy in found])
    # one seed has no spread of its own
    spread = energies.std(ddof=1) if len(runs) > 1 else found[0].error
    excess, error = energies.mean() - exact_energy, spread / len(runs) ** 0.5
    rows = [run.rows.share.where(run.rows.evaluating == 1) for run in runs]
    shares = np.mean([row.mean("step").values for row in rows], axis=0)
    carried = " ".join(f"{share:.3f}" for share in shares)
    each = " ".join(f"{1e3 * (energy - exact_energy):.1f}" for energy in energies)
    return f"{1e3 * excess:10.1f} ± {1e3 * error:4.1f} mHa  {carried}  ({each})"


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--molecules", nargs="+", default=["B", "N", "H2O"])
    parser.add_argument("--heads", nargs="+", default=HEADS)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--train", type=int, default=1000)
    parser.add_argument("--store", default="heads")
    return parser.parse_args()


def main() -> None:
    chosen = parse()
    print(f"{'molecule':10}{'head':26}above exact  shares  (seeds)", flush=True)
    for molecule in chosen.molecules:
        known = exact(VMC(molecule=molecule).molecular)
        assert known, f"no exact energy of {molecule}"
        for head in chosen.heads:
            task = VMC(molecule=molecule, head=head, train=chosen.train)
            runs = [
                hs.run(task, seed=seed, store=chosen.store, on="here")
                for seed in range(chosen.seeds)
            ]
            print(f"{molecule:10}{head:26}{line(runs, known.value)}", flush=True)


if __name__ == "__main__":
    main()
