from pathlib import Path

import pytest

from adarec_tf.models.students.genotype import Genotype
from adarec_tf.models.students.genotype_io import read_genotype

GENOTYPE = Genotype.from_primitives(2, [["conv_3", "none", "none"], ["skip", "skip", "conv_5"]])


@pytest.mark.parametrize(
    ("text", "number", "message"),
    [
        (GENOTYPE.to_json(), ":1", "a number behind a front only"),
        ("{", "", "a JSON file"),
        ("{}", "", "format_version 1"),
        ('{"students": [{}, {}]}', "", r"which of the 2 students .*json:1. Received: .*json\."),
        ('{"students": [{}, {}]}', ":3", r"which of the 2 students .*json:1. Received: .*json:3\."),
    ],
)
def test_what_is_no_genotype_is_an_error(
    text: str, number: str, message: str, tmp_path: Path
) -> None:
    path = tmp_path / "front.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        read_genotype(f"{path}{number}")


def test_a_file_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"existing file. Received: .*gone.json:2\."):
        read_genotype(f"{tmp_path}/gone.json:2")
