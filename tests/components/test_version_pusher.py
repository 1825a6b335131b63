import json
from pathlib import Path
from typing import Any

import pytest
from tfx.types.standard_artifacts import (
    ExampleStatistics,
    InfraBlessing,
    Model,
    ModelBlessing,
    ModelEvaluation,
    PushedModel,
    Schema,
)

from adarec_tf.config.pipeline import PipelineConfig
from adarec_tf.evaluation.uncertainty import Interval
from adarec_tf.export.versions import find_versions, list_versions
from adarec_tf.models.students.genotype import Edge, Genotype
from components import version_pusher as pusher
from components.artifacts import Genotype as GenotypeArtifact
from components.artifacts import Recipe, Vocabulary
from components.baseline import NoBaselineError, read_baseline
from components.blessings import write_blessing
from components.recipes import write_recipe
from components.version_pusher import RunningServer, VersionPusher
from tests.adarec_tf import hand_made_recipe

NDCG = {"student": Interval(0.4, 0.3, 0.5), "markov": Interval(0.2, 0.1, 0.3)}
KEPT, OTHER = (Genotype(1, ((Edge(0, 1, name),),)) for name in ("conv_3", "conv_5"))


def make_bundle(path: Path, content: str) -> Path:
    (path / "variables").mkdir(parents=True)
    (path / "saved_model.pb").write_text(content)
    (path / "variables" / "variables.index").write_text("index")
    return path


@pytest.fixture
def serving(tmp_path: Path) -> Path:
    return tmp_path / "serving"


def push(
    tmp_path: Path,
    *,
    model_blessed: bool = True,
    infra_blessed: bool = True,
    server_address: str = "",
    server_tls_ca: str = "",
    content: str = "student",
    trace: list[dict[str, Any]] | None = None,
) -> PushedModel:
    artifacts = {
        "model": Model(),
        "model_blessing": ModelBlessing(),
        "infra_blessing": InfraBlessing(),
        "statistics": ExampleStatistics(),
        "schema": Schema(),
        "vocabulary": Vocabulary(),
        "recipe": Recipe(),
        "genotype": GenotypeArtifact(),
        "evaluation": ModelEvaluation(),
        "pushed_model": PushedModel(),
    }
    for name, artifact in artifacts.items():
        artifact.uri = str(tmp_path / f"{name} of {content}")
    write_what_is_compared(artifacts, trace)
    make_bundle(tmp_path / f"model of {content}" / "bundle", content)
    write_blessing(
        artifacts["model_blessing"], is_blessed=model_blessed, reasons=["About accuracy."]
    )
    write_blessing(
        artifacts["infra_blessing"], is_blessed=infra_blessed, reasons=["About serving."]
    )
    VersionPusher.test_call(
        **artifacts,
        serving_dir=str(tmp_path / "serving"),
        keep_versions=2,
        server_address=server_address,
        server_tls_ca=server_tls_ca,
        server_tls_cert="",
        model_name="student",
        run_config=PipelineConfig(scene="shop", seed=7).to_json(),
        code_fingerprint="",
    )
    return artifacts["pushed_model"]


def write_what_is_compared(artifacts: dict[str, Any], trace: list[dict[str, Any]] | None) -> None:
    def write(name: str, file: str, text: str) -> None:
        path = Path(artifacts[name].uri, file)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    write("statistics", "Split-sample/FeatureStats.pb", "statistics")
    write("schema", "schema.pbtxt", "schema")
    write("genotype", "genotype.json", KEPT.to_json())
    if trace is not None:
        write("genotype", "search_trace.jsonl", "".join(f"{json.dumps(one)}\n" for one in trace))
    intervals = {model: {"ndcg@10/full": one._asdict()} for model, one in NDCG.items()}
    metrics = {"intervals": intervals}
    write("evaluation", "metrics.json", json.dumps(metrics))
    Path(artifacts["recipe"].uri).mkdir()
    write_recipe(artifacts["recipe"].uri, hand_made_recipe.recipe(student__hidden_dim=48))
    artifacts["vocabulary"].set_float_custom_property("until", 1234.0)


def test_a_blessed_model_is_pushed(tmp_path: Path, serving: Path) -> None:
    pushed = push(tmp_path)
    assert pushed.get_int_custom_property("pushed") == 1
    assert pushed.get_string_custom_property("pushed_version") == "1"
    assert pushed.get_string_custom_property("pushed_destination") == str(serving / "1")
    assert (serving / "1" / "saved_model.pb").read_text() == "student"


def test_what_it_was_is_pushed_with_it(tmp_path: Path, serving: Path) -> None:
    finalists = [
        {"genotype": one.to_dict(), "ndcg@10/full": ndcg}
        for one, ndcg in ((KEPT, 0.3), (OTHER, 0.2))
    ]
    push(tmp_path, trace=[{"epoch": 1}, {"selection": {"finalists": finalists}}])
    found = read_baseline(serving)
    assert (found.version, found.bundle, found.since) == (1, str(serving / "1"), 1234.0)
    assert found.ndcg == NDCG
    assert (found.genotype, found.runner_up) == (KEPT, OTHER)
    assert (found.config.seed, found.config.student.hidden_dim) == (7, 48)
    assert Path(found.schema_path).read_text() == "schema"
    assert Path(found.statistics_path).read_text() == "statistics"


def test_it_is_that_of_the_newest_version_and_a_given_genotype_has_no_runner_up(
    tmp_path: Path, serving: Path
) -> None:
    push(tmp_path)
    push(tmp_path, content="second")
    found = read_baseline(serving)
    assert (found.version, found.runner_up) == (2, None)


def test_where_nothing_or_something_else_was_pushed_there_is_nothing_to_compare(
    serving: Path,
) -> None:
    with pytest.raises(NoBaselineError, match=r"serving should hold a pushed student to compare"):
        read_baseline(serving)
    make_bundle(serving / "1", "by hand")
    with pytest.raises(NoBaselineError, match=r"baseline\.json, which `adarec run` pushes"):
        read_baseline(serving)


def test_what_a_release_with_other_settings_pushed_cannot_be_compared(
    tmp_path: Path, serving: Path
) -> None:
    push(tmp_path)
    [path] = serving.rglob("baseline.json")
    content = json.loads(path.read_text())
    del content["config"]["training"]["max_epochs"]
    path.write_text(json.dumps(content))
    with pytest.raises(NoBaselineError, match=r"by another one; run .* for training\.max_epochs\."):
        read_baseline(serving)


@pytest.mark.parametrize(
    ("verdicts", "reasons"),
    [
        ({"model_blessed": False}, "About accuracy."),
        ({"infra_blessed": False}, "About serving."),
        ({"model_blessed": False, "infra_blessed": False}, "About accuracy.\nAbout serving."),
    ],
)
def test_an_unblessed_model_is_not_pushed_and_the_reason_is_kept(
    tmp_path: Path, serving: Path, verdicts: dict[str, bool], reasons: str
) -> None:
    pushed = push(tmp_path, **verdicts)
    assert pushed.get_int_custom_property("pushed") == 0
    assert pushed.get_string_custom_property("reasons") == reasons
    assert not serving.exists()


def test_a_version_that_does_not_answer_is_taken_back(
    tmp_path: Path, serving: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    push(tmp_path, content="first")
    asked: list[tuple[object, ...]] = []

    def ask(*arguments: object) -> str:
        asked.append(arguments)
        assert find_versions(serving) == [1, 2]
        return "Request 0 failed."

    monkeypatch.setattr(pusher, "ask_running_server", ask)
    pushed = push(tmp_path, content="second", server_address="there:8500", server_tls_ca="ca.pem")
    # What the server reads, not what it was copied from.
    pushed_bundle = str(serving / "2")
    assert asked == [(pushed_bundle, 2, RunningServer("there:8500", "student", "ca.pem"))]
    assert pushed.get_int_custom_property("pushed") == 0
    reason = "Version 2 was taken back: Request 0 failed."
    assert pushed.get_string_custom_property("reasons") == reason
    assert [(v.version, v.state) for v in list_versions(serving)] == [
        (2, "withdrawn"),
        (1, "newest"),
    ]


def test_the_same_bundle_is_asked_once(
    tmp_path: Path, serving: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def ask(bundle: str, version: int, server: RunningServer) -> str:
        asked.append(version)
        return ""

    monkeypatch.setattr(pusher, "ask_running_server", ask)
    bundle = str(make_bundle(tmp_path / "bundle", "student"))
    for _ in range(2):
        server = RunningServer("there:8500", "student")
        assert pusher.push(bundle, bundle, str(serving), 2, server) == (1, "")
    assert asked == [1]


def test_the_check_is_told_where_the_files_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: dict[str, object] = {}

    def record(module: str, **options: object) -> str:
        given.update(options, module=module)
        return ""

    monkeypatch.setattr(pusher, "run_serving", record)
    monkeypatch.chdir(tmp_path)
    server = RunningServer("there:8500", "student", "ca.pem", "own.pem")
    assert pusher.ask_running_server("bundle", 3, server) == ""
    assert given["module"] == "push_check"
    assert (given["version"], given["server"]) == (3, "there:8500")
    # The process runs in another folder; one file has the certificate and its key.
    assert given["bundle"] == str(tmp_path / "bundle")
    assert given["tls_ca"] == str(tmp_path / "ca.pem")
    assert given["tls_cert"] == given["tls_key"] == str(tmp_path / "own.pem")


def test_a_server_that_does_not_answer_is_told_in_one_line(tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path / "bundle", "student")
    server = RunningServer("127.0.0.1:1", "student")
    problem = pusher.ask_running_server(str(bundle), 1, server)
    assert "should bring at least one warm-up request" in problem
    assert "\n" not in problem
    with_tls = server._replace(tls_ca=str(tmp_path / "nowhere.pem"))
    problem = pusher.ask_running_server(str(bundle), 1, with_tls)
    assert "The file for TLS should be readable" in problem
