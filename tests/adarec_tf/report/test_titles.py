from pathlib import Path

import pytest

from adarec_tf.report.titles import read_titles


def test_titles_are_of_commas_or_tabs_and_may_have_more_columns(tmp_path: Path) -> None:
    (tmp_path / "titles.csv").write_text('id,title,genre\n7,"A, B",x\n')
    (tmp_path / "titles.tsv").write_text("7\tA, B\n")
    assert read_titles(tmp_path / "titles.csv")["7"] == "A, B"
    assert read_titles(tmp_path / "titles.tsv") == {"7": "A, B"}
    (tmp_path / "short.csv").write_text("7,A\n8\n")
    with pytest.raises(ValueError, match=r"short.csv, line 2 should have .* Received: '8'"):
        read_titles(tmp_path / "short.csv")
    with pytest.raises(ValueError, match=r"should be a file. Received: .*gone.csv"):
        read_titles(tmp_path / "gone.csv")
