"""The bundle that the client's contract is tried with: a small untrained student.

    python -m tests.serving.contract_bundle DIR/1

writes it for a model server: serve `DIR` under the name `student`, and run `python -m
tests.serving.against HOST:PORT`.
"""

import sys
from pathlib import Path

from adarec_tf.config.student import StudentConfig
from adarec_tf.data.histories.vocabulary import ItemVocabulary
from adarec_tf.export.bundle import write_bundle
from adarec_tf.models.students import Genotype, build_student

NUM_ITEMS, MAX_LENGTH, HIDDEN_DIM = 30, 6, 8
KEYS = tuple(f"item {number}é" for number in range(NUM_ITEMS))


def write_contract_bundle(directory: Path) -> Path:
    """Writes the bundle, whose weights follow from a seed, and returns its directory."""
    genotype = Genotype.from_primitives(2, [["conv_3", "max_pool_3", "dilated_2_conv_3"]])
    # What is unpacked where it is loaded, which a server has to do.
    config = StudentConfig(hidden_dim=HIDDEN_DIM, precision="int4")
    write_bundle(
        build_student(genotype, config, NUM_ITEMS, MAX_LENGTH, seed=7),
        ItemVocabulary(KEYS),
        str(directory),
        max_length=MAX_LENGTH,
        seen="exclude",
        genotype_json=genotype.to_json(),
        manifest={},
        warmup_histories=[list(KEYS[:3])],
    )
    return directory


if __name__ == "__main__":
    print(write_contract_bundle(Path(sys.argv[1])))
