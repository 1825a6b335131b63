import json
from pathlib import Path
from typing import Any

import pytest
from tfx.types.artifact import Artifact
from tfx.types.standard_artifacts import Model

from adarec_tf.config.pipeline import PipelineConfig
from adarec_tf.config.student import StudentConfig
from adarec_tf.models.students.genotype import Genotype
from components.input_spans import LogIdentity
from pipeline import warm_start
from pipeline.configs import scene_config
from pipeline.results import RunRecord
from pipeline.warm_start import WarmStart, describe_start, find_warm_start, warm_config

CONFIG = scene_config("smoke")
GENOTYPE = Genotype.from_primitives(2, [["conv_3", "skip", "none"]])


def artifact(uri: Path, **properties: Any) -> Artifact:
    uri.mkdir(parents=True, exist_ok=True)
    made = Model()  # of any type
    made.uri = str(uri)
    for name, value in properties.items():
        if isinstance(value, int):
            made.set_int_custom_property(name, value)
        else:
            made.set_string_custom_property(name, value)
    return made


def write_manifest(model: Path, **manifest: Any) -> None:
    extra = model / "bundle" / "assets.extra"
    extra.mkdir(parents=True)
    (extra / "manifest.json").write_text(json.dumps({"schema_version": 1, **manifest}))


def make_run(
    root: Path,
    number: int,
    *,
    span: int = 0,
    fingerprint: str = "",
    blessed: tuple[int, ...] = (1, 1),
    config: PipelineConfig = CONFIG,
    frame: StudentConfig = CONFIG.student,
) -> RunRecord:
    """A run with the files that a later one looks at."""
    folder = root / str(number)
    outputs = {
        "InteractionsGen": {
            "examples": artifact(
                folder / "examples",
                span=span,
                input_fingerprint=fingerprint or f"log {number}",
                spans=f"{span}: 1 span, 1 file" if span else "",
            )
        },
        "SequencePreprocessor": {"vocabulary": artifact(folder / "vocabulary")},
        "TeacherTuner": {"recipe": artifact(folder / "teacher recipe")},
        "TeacherTrainer": {"model": artifact(folder / "teacher")},
        "StudentSearcher": {
            "student_recipe": artifact(folder / "recipe"),
            "genotype": artifact(folder / "genotype"),
        },
        "StudentDistiller": {"model": artifact(folder / "student")},
    }
    for name, verdict in zip(("RankingEvaluator", "ServerValidator"), blessed, strict=False):
        outputs[name] = {"blessing": artifact(folder / name, blessed=verdict)}
    (folder / "vocabulary" / "vocabulary.txt").write_text("a\n")
    (folder / "genotype" / "genotype.json").write_text(GENOTYPE.to_json())
    (folder / "teacher" / "model.keras").touch()
    max_length = config.data.max_length
    teacher = config.teacher.to_json()
    write_manifest(folder / "teacher", teacher_config=teacher, max_length=max_length)
    write_manifest(folder / "student", student_config=frame.to_json(), max_length=max_length)
    return RunRecord(1000.0 * number, outputs)


def find(
    monkeypatch: pytest.MonkeyPatch, runs: list[RunRecord], log: LogIdentity, mode: str = "last"
) -> str:
    """The number of the run that is found."""
    monkeypatch.setattr(warm_start, "read_runs", lambda path: runs)
    found = find_warm_start("metadata.sqlite", log, mode)
    return "" if found is None else Path(found.teacher).parent.name


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> WarmStart:
    monkeypatch.setattr(warm_start, "read_runs", lambda path: [make_run(tmp_path, 1, span=7)])
    found = find_warm_start("metadata.sqlite", LogIdentity(8, "new"), "last")
    assert found is not None
    return found


def test_the_last_blessed_run_on_earlier_days_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = [
        make_run(tmp_path, 1, span=10),
        make_run(tmp_path, 2, span=11),
        make_run(tmp_path, 3, span=12, blessed=(0, 1)),
        make_run(tmp_path, 4, span=12, blessed=(1, 0)),
        make_run(tmp_path, 5, span=12, blessed=(1,)),  # interrupted
        make_run(tmp_path, 6, span=10),  # once more
    ]
    found = {day: find(monkeypatch, runs, LogIdentity(day, "new")) for day in (11, 12, 13)}
    assert found == {11: "6", 12: "2", 13: "2"}
    with pytest.raises(ValueError, match="3 blessed runs, on this very log or a later one"):
        find(monkeypatch, runs, LogIdentity(10, "new"))


def test_a_run_that_is_started_again_continues_from_where_it_did(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = [make_run(tmp_path, 1, fingerprint="a"), make_run(tmp_path, 2, fingerprint="b")]
    assert find(monkeypatch, runs, LogIdentity(0, "b")) == "1"
    assert find(monkeypatch, runs, LogIdentity(0, "c")) == "2"


def test_without_an_earlier_run_it_is_an_error_or_a_cold_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unblessed = [make_run(tmp_path, 1, blessed=(0, 1))]
    for runs, received in (([], "no run"), (unblessed, "1 runs, none of them blessed")):
        with pytest.raises(ValueError, match=rf"Received: {received}\. Run without --warm-start"):
            find(monkeypatch, runs, LogIdentity(0, "b"))
        assert find(monkeypatch, runs, LogIdentity(0, "b"), "last-or-cold") == ""
    assert describe_start(None).startswith("Cold start")


@pytest.mark.parametrize("name", ["vocabulary/vocabulary.txt", "recipe"])
def test_files_that_are_gone_are_an_error_also_where_none_need_be(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(tmp_path, 1)
    (tmp_path / "1" / name).rename(tmp_path / "elsewhere")
    with pytest.raises(ValueError, match=rf"Received: nothing at .*/1/{name}\."):
        find(monkeypatch, [run], LogIdentity(0, "b"), "last-or-cold")


def test_runs_of_earlier_versions_have_another_recipe_or_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(tmp_path, 1)
    monkeypatch.setattr(warm_start, "read_runs", lambda path: [run])

    def recipe() -> str:
        start = find_warm_start("metadata.sqlite", LogIdentity(0, "b"), "last")
        assert start is not None
        assert start.teacher == str(tmp_path / "1" / "teacher")
        return start.recipe

    assert recipe() == str(tmp_path / "1" / "recipe")
    del run.outputs["StudentSearcher"]["student_recipe"]
    assert recipe() == str(tmp_path / "1" / "teacher recipe")
    del run.outputs["TeacherTuner"]
    assert recipe() == ""


def test_the_genotype_is_kept_and_the_student_continues(start: WarmStart) -> None:
    given = CONFIG.override(["student.dropout=0.3"])
    config, kept = warm_config(given, start, search_again=False)
    assert kept == start
    assert config == given.replace(search=given.search.replace(genotype=start.genotype))
    text = describe_start(kept)
    assert "1970-01-01" in text
    assert text.endswith(
        "(spans 7: 1 span, 1 file): teacher and student continue, the genotype is kept."
    )
    text = describe_start(kept._replace(spans=""))
    assert text.startswith(f"Warm start from the run of {kept.run}: teacher and student continue")


def test_with_another_genotype_the_student_begins_anew(start: WarmStart, tmp_path: Path) -> None:
    other = tmp_path / "other.json"
    other.write_text(Genotype.from_primitives(2, [["skip", "skip", "none"]]).to_json())
    for given, again in ((CONFIG, True), (CONFIG.override([f"search.genotype={other}"]), False)):
        config, found = warm_config(given, start, search_again=again)
        assert config == given
        assert (found.student, found.genotype) == ("", "")
        assert found.teacher == start.teacher
        assert describe_start(found).endswith("the student begins anew.")
    same = CONFIG.override([f"search.genotype={start.genotype}"])
    assert warm_config(same, start, search_again=False)[1] == start


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("teacher.hidden_dim=32", r"`teacher.hidden_dim` should be 16, .* Received: 32"),
        ("teacher.num_blocks=2", r"`teacher.num_blocks` should be 1"),
        ("teacher.name=sasrec", r"`teacher.name` should be nextitnet"),
        ("training.num_teachers=2", r"`training.num_teachers` should be 1"),
        ("data.max_length=20", r"`data.max_length` should be 16"),
        ("student.hidden_dim=16", r"`student.hidden_dim` should be 8, .*--search-again"),
        ("student.precision=int8", r"`student.precision` should be float32"),
        (
            "student.num_nodes=3",
            r"num_nodes=3, .* with num_cells=1 and num_nodes=2.*--sea",
        ),
    ],
)
def test_settings_that_weights_depend_on_are_checked(
    setting: str, message: str, start: WarmStart
) -> None:
    with pytest.raises(ValueError, match=message):
        warm_config(CONFIG.override([setting]), start, search_again=False)


@pytest.mark.parametrize(
    "setting", ["teacher.dropout=0", "training.max_epochs=9", "data.split=global_time", "seed=3"]
)
def test_other_settings_may_change(setting: str, start: WarmStart) -> None:
    warm_config(CONFIG.override([setting]), start, search_again=False)


def test_a_student_that_begins_anew_may_have_any_frame(start: WarmStart) -> None:
    given = CONFIG.override(["student.hidden_dim=16", "student.num_nodes=3"])
    assert warm_config(given, start, search_again=True)[0] == given
