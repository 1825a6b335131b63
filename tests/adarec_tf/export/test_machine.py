import json
from pathlib import Path

import pytest

from adarec_tf.export import machine
from adarec_tf.export.machine import describe_machine


def test_a_machine_is_described_in_json() -> None:
    described = describe_machine()
    assert json.loads(json.dumps(described)) == described
    assert described["cores"] >= 1
    assert described["memory_gib"] >= 1


def test_the_processor_is_named_where_the_system_tells_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = tmp_path / "cpuinfo"
    monkeypatch.setattr(machine, "_CPU_INFO", info)
    assert describe_machine()["cpu"]  # the architecture: there is no such file
    info.write_text("processor\t: 0\nmodel name\t: Some CPU 3000\nmodel name\t: Some CPU 3000\n")
    assert describe_machine()["cpu"] == "Some CPU 3000"
