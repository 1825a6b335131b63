"""Serving a pushed bundle over the TensorFlow Serving API.

`local_server` is the embedded server, `client` asks any server of that API, `validation` tries a
bundle before it is pushed, `push_check` sees a pushed one answer, `model_server/` configures the
stock image. Nothing here imports the rest of the project: a bundle is a plain SavedModel.
"""

from importlib.util import find_spec

if find_spec("grpc") is None:
    raise ModuleNotFoundError(
        "The extra `serving` should be installed: pip install 'adarec-tf[serving]'. Missing: grpc.",
        name="grpc",
    )
