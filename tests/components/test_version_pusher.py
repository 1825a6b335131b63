from pathlib import Path

import pytest
from tfx.types.standard_artifacts import InfraBlessing, Model, ModelBlessing, PushedModel

from adarec_tf.export.versions import find_versions, list_versions
from components import version_pusher as pusher
from components.blessings import write_blessing
from components.version_pusher import RunningServer, VersionPusher


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
) -> PushedModel:
    artifacts = {
        "model": Model(),
        "model_blessing": ModelBlessing(),
        "infra_blessing": InfraBlessing(),
        "pushed_model": PushedModel(),
    }
    for name, artifact in artifacts.items():
        artifact.uri = str(tmp_path / f"{name} of {content}")
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
        code_fingerprint="",
    )
    return artifacts["pushed_model"]


def test_a_blessed_model_is_pushed(tmp_path: Path, serving: Path) -> None:
    pushed = push(tmp_path)
    assert pushed.get_int_custom_property("pushed") == 1
    assert pushed.get_string_custom_property("pushed_version") == "1"
    assert pushed.get_string_custom_property("pushed_destination") == str(serving / "1")
    assert (serving / "1" / "saved_model.pb").read_text() == "student"


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
        assert pusher.push(bundle, str(serving), 2, server) == (1, "")
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
