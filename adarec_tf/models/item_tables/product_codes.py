"""The item table as codes of shared vectors."""

from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf
from scipy.cluster import vq

from adarec_tf.models.item_tables.table import ItemTable, TableReader

_KMEANS_ITERATIONS = 20
_ROWS_PER_CENTROID = 64  # of the sample that centroids are fitted to


class ProductCodesTable(ItemTable):
    """Rows put together from shared parts: of each subspace, one of its codebook's vectors.

    Codes stay what they are in training; the codebooks are trained. In place of SVD codes of the
    interactions, as the paper has them, `set_table` takes the nearest parts of a given table.

    Attributes:
      codes: uint8 [num_rows, num_codes], not trained.
      codebooks: float32 [num_codes, codebook_size, D / num_codes].

    Reference:
      Petrov and Macdonald, "RecJPQ", WSDM 2024, arXiv:2312.06165v1.
    """

    def build(self, add_weight: Callable[..., keras.Variable]) -> None:
        """Creates random codes, each used equally often, and the codebooks."""
        num_codes, codebook_size = self.config.num_codes, self.config.codebook_size
        self.codes = add_weight(
            shape=(self.size.num_rows, num_codes),
            initializer=lambda shape, dtype: _balanced_codes(shape, codebook_size),
            dtype="uint8",
            trainable=False,
            name="item_codes",
        )
        self.codebooks = add_weight(
            shape=(num_codes, codebook_size, self.size.hidden_dim // num_codes),
            initializer=keras.initializers.RandomNormal(stddev=self.size.hidden_dim**-0.5),
            name="item_codebooks",
        )

    def rows(self, item_ids: tf.Tensor) -> tf.Tensor:
        """Looks up rows: int [...] to float32 [..., D]."""
        codes = tf.gather(tf.convert_to_tensor(self.codes), item_ids)
        return _put_together(codes, tf.convert_to_tensor(self.codebooks))

    def matrix(self) -> tf.Tensor:
        """All rows: float32 [num_rows, D]."""
        return _put_together(tf.convert_to_tensor(self.codes), tf.convert_to_tensor(self.codebooks))

    def set_table(self, table: np.ndarray) -> None:
        """Takes k-means centroids of each subspace, and for every row the nearest of them."""
        parts = np.split(self._checked(table), self.config.num_codes, axis=1)
        codes, codebooks = np.zeros(self.codes.shape, np.uint8), np.zeros(self.codebooks.shape)
        for subspace, part in enumerate(parts):
            centroids = _fit_centroids(part, self.config.codebook_size, seed=subspace)
            codebooks[subspace, : len(centroids)] = centroids
            codes[:, subspace] = vq.vq(part, centroids)[0]
        self.codes.assign(codes)
        self.codebooks.assign(codebooks)

    @property
    def row_variables(self) -> list[keras.Variable]:
        """The codes."""
        return [self.codes]

    @property
    def shared_variables(self) -> list[keras.Variable]:
        """The codebooks."""
        return [self.codebooks]

    @property
    def served_bytes(self) -> int:
        """Size of what serving reads of it, in bytes."""
        codebooks = 4 * self.config.codebook_size * self.size.hidden_dim
        return self.size.num_rows * self.config.num_codes + codebooks

    def served(self) -> TableReader:
        """Products with the codebooks' vectors, added up by code."""
        return _ServedCodes(self)


class _ServedCodes:
    """Logits as sums of M looked-up products.

    For one state and 26,700 x 64 this takes two thirds of the time of putting rows together.
    """

    def __init__(self, table: ProductCodesTable) -> None:
        self._table = table
        # Code by code, which is how they are added up.
        codes = np.ascontiguousarray(np.transpose(table.codes))
        self._codes = tf.Variable(codes, trainable=False, name="item_codes")

    def rows(self, item_ids: tf.Tensor) -> tf.Tensor:
        codes = tf.transpose(tf.gather(self._codes, tf.reshape(item_ids, [-1]), axis=1))
        rows = _put_together(codes, tf.convert_to_tensor(self._table.codebooks))
        shape = tf.concat([tf.shape(item_ids), [self._table.size.hidden_dim]], axis=0)
        return tf.ensure_shape(tf.reshape(rows, shape), [*item_ids.shape, rows.shape[-1]])

    def logits(self, states: tf.Tensor) -> tf.Tensor:
        num_codes, codebook_size, _ = self._table.codebooks.shape
        parts = tf.stack(tf.split(states, num_codes, axis=1))
        products = tf.matmul(
            tf.convert_to_tensor(self._table.codebooks), parts, transpose_b=True
        )  # [M, codebook_size, N]
        codes = tf.slice(self._codes, [0, 1], [num_codes, self._table.size.num_items])
        places = tf.cast(codes, tf.int32) + codebook_size * tf.range(num_codes)[:, tf.newaxis]
        # `gather_nd`, since `gather` of single numbers takes a third longer.
        looked_up = tf.gather_nd(
            tf.reshape(products, [num_codes * codebook_size, tf.shape(states)[0]]),
            places[..., tf.newaxis],
        )
        return tf.transpose(tf.reduce_sum(looked_up, axis=0))


def _put_together(codes: tf.Tensor, codebooks: tf.Tensor) -> tf.Tensor:
    """Rows [..., D] from codes uint8 [..., M] and codebooks [M, codebook_size, D / M]."""
    num_codes, codebook_size, part_dim = codebooks.shape
    starts = codebook_size * tf.range(num_codes)
    vectors = tf.reshape(codebooks, [num_codes * codebook_size, part_dim])
    parts = tf.gather(vectors, tf.cast(codes, tf.int32) + starts)
    rows = tf.reshape(parts, tf.concat([tf.shape(codes)[:-1], [num_codes * part_dim]], axis=0))
    return tf.ensure_shape(rows, [*codes.shape[:-1], num_codes * part_dim])


def _balanced_codes(shape: tuple[int, ...], codebook_size: int) -> tf.Tensor:
    """Random uint8 codes [num_rows, M], each of a subspace's used by as many rows."""
    order = tf.argsort(keras.initializers.RandomUniform()(shape), axis=0)
    return tf.cast(order % codebook_size, tf.uint8)


def _fit_centroids(points: np.ndarray, num_centroids: int, *, seed: int) -> np.ndarray:
    """K-means centroids [at most num_centroids, d] of points [N, d]; the points if they are few."""
    if len(points) <= num_centroids:
        return points
    generator = np.random.default_rng(seed)
    size = min(len(points), _ROWS_PER_CENTROID * num_centroids)
    sample = points[generator.choice(len(points), size, replace=False)]
    return vq.kmeans2(
        sample, num_centroids, iter=_KMEANS_ITERATIONS, minit="points", seed=generator
    )[0]
