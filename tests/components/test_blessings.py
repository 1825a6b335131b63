from pathlib import Path

import pytest
from tfx.components.util import model_utils
from tfx.types.standard_artifacts import InfraBlessing, ModelBlessing

from components.blessings import read_blessing, write_blessing


@pytest.mark.parametrize("is_blessed", [True, False])
def test_stock_tools_understand_the_verdict(tmp_path: Path, is_blessed: bool) -> None:
    model, infra = ModelBlessing(), InfraBlessing()
    model.uri, infra.uri = str(tmp_path / "model"), str(tmp_path / "infra")
    write_blessing(model, is_blessed=is_blessed, reasons=["one"])
    write_blessing(infra, is_blessed=is_blessed, reasons=["one"], prefix="INFRA_")
    assert model_utils.is_model_blessed(model) == is_blessed
    assert model_utils.is_infra_validated(infra) == is_blessed
    suffix = "BLESSED" if is_blessed else "NOT_BLESSED"
    assert [path.name for path in (tmp_path / "model").iterdir()] == [suffix]
    assert [path.name for path in (tmp_path / "infra").iterdir()] == [f"INFRA_{suffix}"]


def test_reasons_come_back_in_order(tmp_path: Path) -> None:
    blessing = ModelBlessing()
    blessing.uri = str(tmp_path / "blessing")
    write_blessing(blessing, is_blessed=False, reasons=["Too slow.", "Too large."])
    assert read_blessing(blessing) == (False, ["Too slow.", "Too large."])
