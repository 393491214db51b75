"""Command ``heliostat run discrete``: mistakes get one line."""

from __future__ import annotations

from pathlib import Path

import pytest

USERS = Path(__file__).parents[1] / "support" / "user_densities.py"

MISTAKES = {
    "--chains 0": "chains 0: expected at least 1",
    "--size 2": "side 2: expected 3 or more",
    "--target isin": "did you mean 'ising'?",
    "--target users.py:nan": "log p is NaN at 64 of 64 states tried",
    "--target users.py:vector": "expected a scalar float",
    "--target users.py:broken": "log p fails at a state of shape (10,)",
    "--target users.py:number": "expected a function log p(x)",
    "--target users.py:nothing": "does not define 'nothing'",
    "--target missing.py:f": "No such file",
    "--couplings lopsided.txt": "couplings are not symmetric: J[0, 1] =",
    "--couplings users.py": ".csv or rows of numbers; it holds no numbers",
    "--field users.py": ".csv or rows of numbers; it holds no numbers",
    "--field five.txt": "a field of shape (9,): expected one finite number, or (100,)",
    "--target users.py:rare --size 40": "give one with --begin-at FILE",
    "--target users.py:exactly": "--sampler kawasaki exchanges two sites",
    "--target users.py:table": "so sampler gwg is blind: give --differences exact",
    "--size 4 --sampler kawasaki": "give one start with --begin-at FILE",
    "--target potts --size 3 --begin-at five.txt": "at site 8: expected whole numbers",
    "--begin-at five.txt": "expected (100,)",
    "--sampler chromatic --target rbm": "needs a target whose sites have colours",
    "--sampler block": "block Gibbs needs an RBM",
    "--sampler block --target rbm --rungs 3": "cannot be tempered",
    "--lazy 1": "lazy 1",
    "--chains 4 --starts 3": "starts 3: expected 0, or 2 or more that divide",
    "--target neighbour.py:f": "imports users.py beside it",
    "--values 1 --target potts": "values 1: expected 2 to 256",
    "--until|esss > 100": "did you mean 'ess'?",
    "--chains 1 --until|rhat < 1.01": "discrete with these fields has no 'rhat'",
    "--step-size 0.3": "step_size 0.3: nothing reads it here, it is for sampler multi",
    "--values 4": "values 4: nothing reads it here, it is for target potts",
    "--size 8 --couplings two.txt": "targets without a file of couplings",
    "--hottest 0.5": "it is for 2 rungs or more",
    "--target users.py:WHOLE --size 5": "the Target of users.py:WHOLE knows its own",
}


@pytest.mark.parametrize("words", MISTAKES)
def test_mistakes_get_one_line_and_store_nothing(
    words, tmp_path, monkeypatch, run_cli, store
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "users.py").write_text(USERS.read_text())
    (tmp_path / "neighbour.py").write_text("import users\nf = users.chain\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "lopsided.txt").write_text("0 1\n0.5 0\n")
    (tmp_path / "two.txt").write_text("0 1\n1 0\n")
    (tmp_path / "five.txt").write_text("0 1 2 0 1 2 0 1 5\n")
    first, _, rest = words.partition("|")
    split = [*first.split(), *([rest] if rest else [])]
    result = run_cli("run", "discrete", *split, "--on", "here", "--steps", "100")
    assert result.status == 2 and result.out == ""
    last = result.err.strip().splitlines()[-1]
    assert last.startswith("heliostat: error: ") and MISTAKES[words] in last
    assert not [*store.glob("*/*")]
