import io

from rich.console import Console

from adarec_tf.report.costs import print_costs
from tests.adarec_tf.search.hand_made_costs import cost_table


def test_costs_are_printed_with_frame_machine_and_errors() -> None:
    table = cost_table(
        latency_errors=(0.02, -0.03, 0.1),
        machine={"cpu": "Some CPU", "cores": 4, "tensorflow": "2.16.2"},
    )
    screen = io.StringIO()
    print_costs(table, Console(file=screen, width=140))
    text = screen.getvalue()
    [row] = [line for line in text.splitlines() if "dilated_4_conv_5" in line]
    assert row.split() == [
        *("│", "dilated_4_conv_5", "│", "50", "│", "500", "│", "200", "│"),
        *("0.5000", "ms", "│", "5.0000", "ms", "│"),
    ]
    assert "2 cells of 2 nodes, hidden_dim 4, float32 table of 16 items" in text
    assert "Some CPU, 4 cores, TensorFlow 2.16.2" in text
    assert "from that of 2 others: off by 3.0% at the median, 10.0% at most" in text
