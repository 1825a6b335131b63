"""Saved models run by a session, as TensorFlow Serving and the embedded server run them.

Functions of `tf.saved_model.load` take some tenths of a millisecond more, a good part of a small
student's request: what is timed with them is not what a server does.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import config_pb2, meta_graph_pb2

# Not `tf.compat.v1.saved_model.load`, which is this and a line on the screen.
from tensorflow.python.saved_model.loader_impl import SavedModelLoader

# Values of all inputs of a signature to those of all outputs, by name.
SessionFunction = Callable[[Mapping[str, np.ndarray]], dict[str, Any]]

# With fewer bytes of float variables a model runs on the thread that asks, as in the embedded
# server. Integers are made floats when a model is loaded, and no request reads them.
_MIN_PARALLEL_BYTES = 2**24


class TfSession:
    """Saved models in one session, which lives as long as a function of it.

    Variables of equal names are one, as are lookup tables of the same file: models that differ
    there need sessions of their own, and those that share an item table have it in memory once.
    """

    def __init__(self) -> None:
        self._session = tf.compat.v1.Session(graph=tf.Graph())
        self._num_models = 0

    def load(self, directory: str) -> dict[str, SessionFunction]:
        """Adds a saved model.

        Args:
          directory: of the saved model; not needed afterwards.

        Returns:
          Its signatures, by name.
        """
        scope = f"model_{self._num_models}"
        self._num_models += 1
        meta_graph = SavedModelLoader(directory).load(
            self._session, [tf.saved_model.SERVING], import_scope=scope
        )
        is_small = self._float_bytes(scope) < _MIN_PARALLEL_BYTES
        return {
            name: self._function(signature, scope, is_small)
            for name, signature in meta_graph.signature_def.items()
            if not name.startswith("__saved_model")  # what initializes it
        }

    def _float_bytes(self, scope: str) -> int:
        handles = [
            operation
            for operation in self._session.graph.get_operations()
            if operation.type == "VarHandleOp" and operation.name.startswith(f"{scope}/")
        ]
        return sum(
            tf.TensorShape(handle.get_attr("shape")).num_elements() * handle.get_attr("dtype").size
            for handle in handles
            if handle.get_attr("dtype").is_floating
        )

    def _function(
        self, signature: meta_graph_pb2.SignatureDef, scope: str, is_small: bool
    ) -> SessionFunction:
        input_names, output_names = list(signature.inputs), list(signature.outputs)
        options = config_pb2.CallableOptions(
            feed=[f"{scope}/{signature.inputs[name].name}" for name in input_names],
            fetch=[f"{scope}/{signature.outputs[name].name}" for name in output_names],
        )
        if is_small:
            options.run_options.inter_op_thread_pool = -1  # the caller's thread
        run = self._session._make_callable_from_options(options)

        def function(inputs: Mapping[str, np.ndarray]) -> dict[str, Any]:
            values = run(*(inputs[name] for name in input_names))
            return dict(zip(output_names, values, strict=True))

        return function
