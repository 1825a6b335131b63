"""A log to split histories by a runner of Beam, and the checksum of each file that this leaves.

    python tests/benchmarks/preprocessed_files.py --log log.parquet --output folder \\
        --result found.json -- --runner=FnApiRunner

runs InteractionsGen and SequencePreprocessor in this process.
"""

import argparse
import hashlib
import json
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from preprocess_log import write_blocks, write_sequences

from adarec_tf.config.data import DataConfig


def preprocess_scene(
    log: Path, output: Path, config: DataConfig, beam_args: Sequence[str]
) -> dict[str, Any]:
    """Runs both components; gives the seconds and the checksum of each file."""
    shutil.rmtree(output, ignore_errors=True)
    start = time.perf_counter()
    examples = write_blocks(log, output, config, beam_args)
    found = write_sequences(examples, output, config, beam_args)
    return {
        "wall_s": round(time.perf_counter() - start, 1),
        "num_users": found.num_users,
        "num_items": found.num_items,
        "num_interactions": found.num_interactions,
        "files": checksums(output),
    }


def checksums(folder: Path) -> dict[str, str]:
    """The SHA-256 of every file, by its name in the folder."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def main() -> None:
    """Runs and stores."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--log", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--result", type=Path, required=True)
    parser.add_argument("beam_args", nargs="*", metavar="-- --NAME=VALUE")
    options = parser.parse_args()
    found = preprocess_scene(options.log, options.output, DataConfig(), options.beam_args)
    options.result.write_text(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
