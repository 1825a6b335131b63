import dataclasses
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adarec_tf.models.students.genotype import Genotype, edge_ends, read_genotype
from adarec_tf.models.students.primitives import PRIMITIVES


@st.composite
def genotypes(draw: st.DrawFn) -> Genotype:
    num_nodes = draw(st.integers(1, 4))
    names = st.lists(
        st.sampled_from(list(PRIMITIVES)),
        min_size=len(edge_ends(num_nodes)),
        max_size=len(edge_ends(num_nodes)),
    )
    return Genotype.from_primitives(num_nodes, draw(st.lists(names, min_size=1, max_size=3)))


@given(genotypes())
def test_write_read_is_identity(genotype: Genotype) -> None:
    assert Genotype.from_json(genotype.to_json()) == genotype


def test_description_names_what_each_node_sums() -> None:
    genotype = Genotype.from_primitives(2, [["conv_3", "none", "skip"]] * 2)
    assert genotype.describe().splitlines() == [
        "cell 1",
        "  node 1 = conv_3(input)",
        "  node 2 = skip(node 1)",
        "cell 2: as cell 1, with its own weights",
    ]


def test_three_nodes_have_six_edges() -> None:
    assert len(edge_ends(3)) == 6


def test_an_unknown_primitive_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"one of conv_3, .*Received: \['conv_7'\]"):
        Genotype.from_primitives(1, [["conv_7"]])


def test_a_missing_edge_is_refused() -> None:
    with pytest.raises(ValueError, match=r"should have 3 operations\. Received: 2"):
        Genotype.from_primitives(2, [["conv_3", "skip"]])


def test_what_is_no_genotype_of_this_format_is_refused() -> None:
    values = json.loads(Genotype.from_primitives(1, [["conv_3"]]).to_json())
    for other in ({**values, "format_version": 2}, [], {**values, "more": 1}):
        with pytest.raises(ValueError, match="format_version 1"):
            Genotype.from_json(json.dumps(other))
    with pytest.raises(ValueError, match=r"edges \[source, target, primitive\]"):
        Genotype.from_dict({**values, "cells": [[[0, 1]]]})
    with pytest.raises(ValueError, match="positive integer"):
        Genotype.from_dict({**values, "num_nodes": 0, "cells": [[]]})


@given(genotypes())
def test_the_plain_form_is_that_of_json(genotype: Genotype) -> None:
    assert genotype.to_dict() == json.loads(genotype.to_json())


@pytest.mark.parametrize(
    ("names", "is_degenerate"),
    [(["skip", "none", "skip"], True), (["skip", "none", "max_pool_3"], False)],
)
def test_a_genotype_that_cannot_see_order_is_degenerate(
    names: list[str], is_degenerate: bool
) -> None:
    assert Genotype.from_primitives(2, [names]).is_degenerate == is_degenerate


def test_dead_edges_go_and_living_ones_stay() -> None:
    genotype = Genotype.from_primitives(
        3, [["none", "conv_3", "max_pool_3", "none", "conv_5", "skip"]]
    )
    names = [edge.primitive for edge in genotype.without_dead_edges().cells[0]]
    assert names == ["none", "conv_3", "none", "none", "none", "skip"]


def test_a_chain_of_dead_nodes_goes_whole() -> None:
    genotype = Genotype.from_primitives(3, [["none", "none", "conv_3", "none", "skip", "conv_5"]])
    names = [edge.primitive for edge in genotype.without_dead_edges().cells[0]]
    assert names == ["none"] * 6
    assert genotype.without_dead_edges().is_degenerate


def test_a_width_that_was_searched_is_told_and_others_are_not() -> None:
    plain = Genotype.from_primitives(1, [["conv_3"]])
    assert "hidden_dim" not in plain.to_dict()
    wide = dataclasses.replace(plain, hidden_dim=48)
    assert wide.to_dict()["hidden_dim"] == 48
    assert Genotype.from_json(wide.to_json()) == wide != plain
    assert wide.describe() == "width 48\n" + plain.describe()
    assert wide.without_dead_edges() == wide
    with pytest.raises(ValueError, match="`hidden_dim` should be a positive integer"):
        Genotype.from_dict({**plain.to_dict(), "hidden_dim": 0})


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
