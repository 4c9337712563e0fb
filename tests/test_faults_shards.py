"""Shards of a batch, done by several processes in one folder, come to what one process comes to."""

from __future__ import annotations

import sqlite3
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
from fault_runs import command, lightly_opened, make_image, make_images, make_pipeline, tree

from medvision.batch import Ledger, Shard
from medvision.errors import BusyError, InputError, OutputError, PipelineError, UsageError
from medvision.pipeline import PipelineFolder
from medvision.workflows import run as run_module
from medvision.workflows.merge import merge
from medvision.workflows.run import Limits, run

CASES = 6


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> PipelineFolder:
    return make_pipeline(tmp_path_factory.mktemp("pipeline") / "blobs")


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = make_images(tmp_path / "in", CASES)
    (folder / "notes.dcm").write_text("no DICOM file")
    (folder / "text.txt").write_text("no image")
    return folder


@pytest.fixture(autouse=True)
def light(monkeypatch: pytest.MonkeyPatch) -> None:
    """Analyse without a network, within this process."""
    from medvision.workflows.batching import job

    monkeypatch.setattr(job, "analyse", job.analyse)  # put back what the next line changes for good
    monkeypatch.setattr(run_module, "opened", lightly_opened)


def run_shards(pipeline: PipelineFolder, images: Path, out: Path, numbers: Sequence[int], of: int = 3) -> list[int]:
    return [
        run(pipeline, [images], out, shard=Shard(number, of), limits=Limits(workers=0), engine="torch-fp32").analysed
        for number in numbers
    ]


def lines(folder: Path) -> list[tuple[object, ...]]:
    """Return what the ledger says of cases, but for dates, durations and memory."""
    database = sqlite3.connect(folder / "ledger.sqlite")
    try:
        return database.execute(
            "SELECT id, state, verdict, source, images, input_sha256, pipeline_sha256, code, message, cure, files"
            " FROM cases ORDER BY id"
        ).fetchall()
    finally:
        database.close()


def test_shards_in_any_order_come_to_what_one_process_comes_to(
    pipeline: PipelineFolder, images: Path, tmp_path: Path
) -> None:
    one = run(pipeline, [images], tmp_path / "one", limits=Limits(workers=0), engine="torch-fp32")
    analysed = run_shards(pipeline, images, tmp_path / "out", [3, 1, 2])
    assert sum(analysed) == CASES
    assert not (tmp_path / "out" / "index.html").exists()
    merged = merge(tmp_path / "out")
    assert [(each.id, each.state) for each in merged.entries] == [(each.id, each.state) for each in one.entries]
    assert merged.exit_code() == one.exit_code() == 4
    assert tree(tmp_path / "out") == tree(tmp_path / "one")
    assert lines(tmp_path / "out") == lines(tmp_path / "one")
    before = tree(tmp_path / "out")
    assert merge(tmp_path / "out").count("done") == CASES, "it can be done again"
    assert tree(tmp_path / "out") == before
    assert run(pipeline, [images], tmp_path / "out", limits=Limits(workers=0), engine="torch-fp32").analysed == 0


def test_a_shard_that_is_run_again_after_a_merge_does_what_has_changed_and_no_more(
    pipeline: PipelineFolder, images: Path, tmp_path: Path
) -> None:
    run_shards(pipeline, images, tmp_path / "out", [1, 2, 3])
    merge(tmp_path / "out")
    number = next(number for number in (1, 2, 3) if Shard(number, 3).takes("case0"))
    make_image(images / "case0.nii.gz", seed=77)
    assert run_shards(pipeline, images, tmp_path / "out", [number]) == [1]
    merge(tmp_path / "out")
    run(pipeline, [images], tmp_path / "one", limits=Limits(workers=0), engine="torch-fp32")
    assert lines(tmp_path / "out") == lines(tmp_path / "one")
    assert tree(tmp_path / "out") == tree(tmp_path / "one")


def test_a_missing_an_incomplete_and_a_foreign_shard_are_named(
    pipeline: PipelineFolder, images: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    run_shards(pipeline, images, out, [2])
    with pytest.raises(UsageError, match="1-of-3 and 3-of-3 are missing"):
        merge(out)
    run_shards(pipeline, images, out, [1, 3])
    with pytest.raises(UsageError, match="shards lie here that have not been merged: 1-of-3"):
        run(pipeline, [images], out, limits=Limits(workers=0))
    for change, words in (
        ("complete = 0", "3-of-3 is not complete"),
        ("pipeline_sha256 = 'x'", "3-of-3 is of another pipeline than 1-of-3"),
    ):
        before = (out / "ledger-3-of-3.sqlite").read_bytes()
        database = sqlite3.connect(out / "ledger-3-of-3.sqlite")
        database.execute(f"UPDATE shards SET {change}")
        database.commit()
        database.close()
        with pytest.raises(UsageError, match=words):
            merge(out)
        (out / "ledger-3-of-3.sqlite").write_bytes(before)
    run_shards(pipeline, images, out, [1], of=2)
    with pytest.raises(UsageError, match="shards of 2 and of 3 lie here"):
        merge(out)
    assert len(list(out.glob("ledger-*.sqlite"))) == 4, "nothing was merged"


def test_a_folder_without_shards_and_one_without_a_run_are_refused(
    pipeline: PipelineFolder, images: Path, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="no results of a run"):
        merge(tmp_path / "none")
    run(pipeline, [images / "case0.nii.gz"], tmp_path / "out", limits=Limits(workers=0))
    with pytest.raises(UsageError, match="no shard has been run here"):
        merge(tmp_path / "out")


def test_a_pipeline_that_has_changed_since_is_refused(pipeline: PipelineFolder, images: Path, tmp_path: Path) -> None:
    run_shards(pipeline, images, tmp_path / "out", [1], of=1)
    other = make_pipeline(tmp_path / "other", description="Others")
    with pytest.raises(PipelineError, match="not the pipeline that the shards ran"):
        merge(tmp_path / "out", other)
    assert merge(tmp_path / "out", pipeline).count("done") == CASES


def test_a_shard_that_is_at_work_and_a_ledger_that_is_none_stop_the_merge(
    pipeline: PipelineFolder, images: Path, tmp_path: Path
) -> None:
    run_shards(pipeline, images, tmp_path / "out", [1], of=1)
    with Ledger(tmp_path / "out", Shard(1, 1)), pytest.raises(BusyError):
        merge(tmp_path / "out")
    (tmp_path / "out" / "ledger-1-of-1.sqlite").write_bytes(b"no database" * 100)
    with pytest.raises(OutputError, match="the ledger cannot be used"):
        merge(tmp_path / "out")


@pytest.mark.parametrize("words", ["", "2", "0/4", "5/4", "-1/4", "1/0", "a/b", "1/4/2"])
def test_a_shard_that_is_none_is_refused(words: str) -> None:
    with pytest.raises(UsageError):
        Shard.parse(words)


def test_each_id_belongs_to_one_shard_and_shards_are_of_like_sizes() -> None:
    sizes = [sum(Shard(number, 4).takes(f"case {id_}") for id_ in range(4000)) for number in (1, 2, 3, 4)]
    assert sum(sizes) == 4000
    assert min(sizes) > 900
    assert [Shard.parse("2/4"), Shard.parse("2-of-4").name] == [Shard(2, 4), "2-of-4"]


def test_shards_of_several_processes_at_once_and_the_commands_say_what_to_do(
    pipeline: PipelineFolder, images: Path, tmp_path: Path
) -> None:
    words = ["run", pipeline.folder, images, "--out", tmp_path / "out", "--workers", "1", "--shard"]
    both = [subprocess.Popen(command(*words, f"{n}/2"), stdout=subprocess.PIPE, text=True) for n in (1, 2)]
    shown = [process.communicate()[0] for process in both]
    assert {process.returncode for process in both} <= {0, 4}
    assert all(f"When all shards are done: medvision merge {tmp_path / 'out'}" in text for text in shown)
    done = subprocess.run(command("merge", tmp_path / "out"), capture_output=True, text=True)
    assert done.returncode == 4
    assert f"{CASES + 1} cases: {CASES} done before, 1 refused" in done.stdout
    assert (tmp_path / "out" / "index.html").exists()
