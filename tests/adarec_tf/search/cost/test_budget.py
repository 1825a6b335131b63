import json
import re
from collections.abc import Sequence

import numpy as np
import pytest
import tensorflow as tf

from adarec_tf.config.search import SearchConfig
from adarec_tf.models.students.genotype import Genotype
from adarec_tf.search.cost.budget import Budget, check_reachable, expected_overrun, find_budgets
from adarec_tf.search.space.alphas import OPERATIONS
from adarec_tf.search.space.depth import ExpectedStudent
from tests.adarec_tf.search.hand_made_costs import cost_table

CONV_3, CONV_5, SKIP = map(OPERATIONS.index, ("conv_3", "conv_5", "skip"))


def _budgets(num_alike: int = 2, **settings: float) -> tuple[Budget, ...]:
    search = SearchConfig(**settings)  # type: ignore[arg-type]
    return find_budgets(search, cost_table(), num_alike=num_alike)


def _overrun(alphas: tf.Tensor, budgets: Sequence[Budget]) -> tf.Tensor:
    return expected_overrun(ExpectedStudent(tf.nn.softmax(alphas)), budgets)


def test_without_settings_there_is_no_budget() -> None:
    assert _budgets() == ()


@pytest.mark.parametrize(
    ("setting", "value", "allowance", "price_of_conv_3"),
    [
        ("max_macs", 1500, 1500, 300),
        ("max_parameters", 150, 50, 30),
        ("max_bytes", 500, 100, 120),
        ("latency_budget_ms", 1.5, 5000, 3000),
    ],
)
def test_what_a_budget_leaves_for_the_operations_by_hand(
    setting: str, value: float, allowance: int, price_of_conv_3: int
) -> None:
    [budget] = _budgets(**{setting: value})
    assert (budget.setting, budget.value) == (setting, value)
    assert budget.allowance == allowance
    assert budget.prices[CONV_3] == price_of_conv_3
    assert budget.setting_for(budget.allowance) == pytest.approx(value)


@pytest.mark.parametrize(("num_alike", "least"), [(1, 1.1), (2, 1.2)])
def test_cells_that_share_an_operation_all_pay_for_it(num_alike: int, least: float) -> None:
    check_reachable(_budgets(num_alike, latency_budget_ms=least))
    with pytest.raises(ValueError, match=f"at least {least}, "):
        check_reachable(_budgets(num_alike, latency_budget_ms=least - 0.01))


def test_a_budget_is_kept_to_the_last_unit() -> None:
    cells = [["conv_3", "skip", "max_pool_3"], ["conv_5", "none", "conv_5"]]
    genotype = Genotype.from_primitives(2, cells)
    assert _budgets(max_macs=1300)[0].is_kept_by(genotype)
    assert not _budgets(max_macs=1299)[0].is_kept_by(genotype)
    # 0.3 + 0.01 + 0.1 ms, 0.5 + 0.5 ms, and the millisecond of the rest
    assert _budgets(latency_budget_ms=2.41)[0].is_kept_by(genotype)
    assert not _budgets(latency_budget_ms=2.4099)[0].is_kept_by(genotype)


@pytest.mark.parametrize(
    ("settings", "setting", "least"),
    [
        ({"latency_budget_ms": 0.4}, "latency_budget_ms", 1.2),  # the rest, and a pool in two cells
        ({"max_parameters": 7}, "max_parameters", 100),
        ({"max_bytes": 399}, "max_bytes", 400),
        # A pool takes no multiply-adds, but is too slow; a convolution is slower yet.
        ({"max_macs": 599, "latency_budget_ms": 1.04}, "latency_budget_ms", 1.2),
    ],
)
def test_an_unreachable_budget_names_the_least_reachable_value(
    settings: dict[str, float], setting: str, least: float
) -> None:
    with pytest.raises(ValueError, match=f"`search.{setting}` should be at least") as caught:
        check_reachable(_budgets(**settings))
    [named] = re.findall(r"at least ([0-9.e+-]+),", str(caught.value))
    assert float(named) == pytest.approx(least)
    assert f"Received: {settings[setting]:g};" in str(caught.value)
    check_reachable(_budgets(**{**settings, setting: json.loads(named)}))


def test_budgets_that_only_together_are_unreachable_say_so() -> None:
    table = cost_table()
    slow_pools = {
        name: part._replace(latency_ms=3.0) if "pool" in name else part
        for name, part in table.operations.items()
    }
    search = SearchConfig(max_macs=500, latency_budget_ms=1.7)
    budgets = find_budgets(search, cost_table(operations=slow_pools), num_alike=2)
    for budget in budgets:
        check_reachable([budget])
    expected = r"`search.max_macs` should be at least 600, .* within latency_budget_ms=1\.7\."
    with pytest.raises(ValueError, match=expected):
        check_reachable(budgets)


def test_the_hinge_by_hand() -> None:
    alphas = tf.zeros([3, len(OPERATIONS)])
    # 3 + 5 taps thrice, over ten operations and three edges in two cells: 2,400 x 3 x 2 / 10.
    undecided = 3 * 2 * 2400 / 10
    for macs in (100, 700, 2000):
        overrun = _overrun(alphas, _budgets(max_macs=macs))
        assert float(overrun) == pytest.approx(max(0.0, (undecided - macs) / undecided), rel=1e-5)
    both = _overrun(alphas, _budgets(max_macs=100, max_bytes=401))
    [macs_alone, bytes_alone] = (
        _overrun(alphas, [budget]) for budget in _budgets(max_macs=100, max_bytes=401)
    )
    assert float(both) == pytest.approx(float(macs_alone + bytes_alone))


def test_the_hinge_pushes_to_cheap_operations_and_rests_within_the_budget() -> None:
    alphas = tf.Variable(np.zeros((6, len(OPERATIONS)), np.float32))
    for macs, is_pushed in ((10, True), (100_000, False)):
        with tf.GradientTape() as tape:
            overrun = _overrun(alphas, _budgets(num_alike=1, max_macs=macs))
        gradient = tape.gradient(overrun, alphas)
        assert (float(overrun) > 0) == is_pushed
        if is_pushed:
            assert np.all(gradient.numpy()[:, CONV_5] > 0)
            assert np.all(gradient.numpy()[:, SKIP] < 0)
        else:
            assert np.all(gradient.numpy() == 0)


@pytest.mark.parametrize("num_alike", [1, 2])
def test_cells_that_are_left_out_leave_more_for_the_others(num_alike: int) -> None:
    """A cell without operations takes 24 of the 400 bytes of the rest."""
    [budget] = _budgets(num_alike, max_bytes=460)
    one = Genotype.from_primitives(2, [["conv_3", "none", "none"]])
    two = Genotype.from_primitives(2, [["conv_3", "none", "none"], ["none"] * 3])
    assert (budget.price_of(two), budget.price_of(one)) == (120, 96)
    assert budget.allowance == 60
    shallow = budget.without_cells(1)
    assert (shallow.allowance, shallow.num_alike, shallow.num_cells) == (84, 1, 1)
    assert (budget.num_alike, shallow.price_of(one)) == (num_alike, 120)
    assert budget.row_prices[CONV_3] == num_alike * 120
    assert shallow.setting_for(shallow.allowance) == budget.setting_for(budget.allowance) == 460
    for value, keeps_one, keeps_two in ((495, False, False), (496, True, False), (520, True, True)):
        [budget] = _budgets(num_alike, max_bytes=value)
        assert (budget.is_kept_by(one), budget.is_kept_by(two)) == (keeps_one, keeps_two)
        assert budget.without_cells(1).is_kept_by(one) == keeps_one


def test_the_hinge_counts_the_cells_that_are_expected() -> None:
    [budget] = _budgets(num_alike=1, max_bytes=401)
    shares = tf.one_hot([CONV_3] * 6, len(OPERATIONS))
    # Of six convolutions of 120 bytes, beside one byte; undecided edges have 96 on average.
    for num_absent in (0.0, 0.5):
        overrun = expected_overrun(ExpectedStudent(shares, num_absent), [budget])
        assert float(overrun) == pytest.approx((720 - 24 * num_absent - 1) / (6 * 96), rel=1e-5)
