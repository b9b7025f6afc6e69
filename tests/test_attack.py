"""Files from strangers: a few of those with which `python -m benchmarks.attack` tries the commands."""

import pytest
from benchmarks import attack


@pytest.mark.slow
def test_damaged_files_are_used_or_refused_by_name_and_soon(
    capsys: pytest.CaptureFixture[str],
) -> None:
    numbers = ("--detectors", "60", "--sounds", "60", "--recipes", "30", "--workers", "1")
    assert attack.main(list(numbers)) == 0, capsys.readouterr().out
