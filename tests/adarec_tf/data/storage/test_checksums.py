import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adarec_tf.data.storage.checksums import crc32, masked_crc32c
from adarec_tf.data.storage.proto_wire import RaggedBytes


def ragged(strings: list[bytes]) -> RaggedBytes:
    lengths = np.array([len(string) for string in strings], np.int64)
    return RaggedBytes(np.frombuffer(b"".join(strings), np.uint8), lengths)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.binary(max_size=40)))
def test_short_strings_are_checked_as_by_zlib(strings: list[bytes]) -> None:
    assert crc32(ragged(strings)).tolist() == [zlib.crc32(string) for string in strings]


def test_strings_of_many_blocks_are_checked_as_by_zlib() -> None:
    rng = np.random.default_rng(0)
    lengths = [0, 1, 1023, 1024, 1025, 2048, 2049, 3071, 100_000]
    strings = [rng.bytes(length) for length in lengths]
    assert crc32(ragged(strings)).tolist() == [zlib.crc32(string) for string in strings]


@pytest.mark.parametrize(
    ("string", "crc"),
    # Test vectors of RFC 3720, B.4.
    [(bytes(32), 0x8A9136AA), (b"\xff" * 32, 0x62A8AB43), (bytes(range(32)), 0x46DD794E)],
)
def test_crc32c_of_published_strings(string: bytes, crc: int) -> None:
    masked = (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF
    assert masked_crc32c(ragged([string])).tolist() == [masked]
