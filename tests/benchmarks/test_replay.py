"""The cache keeps finished runs, whole and in short."""

import json

from benchmarks.replay import cached, fingerprint, keep, replay, run_file


def test_a_run_is_found_again_and_a_longer_one_is_cut(tiny, tmp_path):
    file = run_file(tmp_path, "random", "tiny", 0)
    assert cached(file, 5) is None
    keep(file, replay("random", tiny, 0, 8))
    assert len(cached(file, 8)["steps"]) == 8
    assert cached(file, 5)["steps"] == cached(file, 8)["steps"][:5]
    assert cached(file, 9) is None
    assert [path.name for path in file.parent.iterdir()] == ["000.json"]


def test_a_run_by_time_is_cut_to_what_ended_in_time(tmp_path):
    file = tmp_path / "one.json"
    keep(file, {"budget": 8.0, "steps": [{"time": time} for time in (1.5, 4.0, 7.0)]})
    assert cached(file, 9.0, "budget") is None
    shorter = cached(file, 4.0, "budget")
    assert (shorter["budget"], [step["time"] for step in shorter["steps"]]) == (
        4.0,
        [1.5, 4.0],
    )


def test_a_space_used_up_counts_as_finished(tiny, tmp_path):
    file = run_file(tmp_path, "largest", "tiny", 0)
    keep(file, replay("largest", tiny, 0, 100))
    steps = cached(file, 100)["steps"]
    assert len(steps) == 24
    json.dumps(steps)


def test_peers_are_kept_by_name_and_ours_by_their_sources_too(tmp_path):
    assert run_file(tmp_path, "smac?facade=rf", "macro", 3, "x") == (
        tmp_path / "macro" / "smac_facade=rf" / "003.json"
    )
    ours = run_file(tmp_path, "ours", "macro", 3, "x").parent.name
    assert ours == f"ours-x-{fingerprint()}"


def test_the_fingerprint_follows_the_sources(tmp_path):
    for name, package in (("one", "oracles"), ("two", "oracles"), ("three", "fidelity")):
        (tmp_path / name / package).mkdir(parents=True)
        (tmp_path / name / package / "a.py").write_text(name)
    assert len({fingerprint(folder) for folder in tmp_path.iterdir()}) == 3
