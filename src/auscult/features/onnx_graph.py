"""ONNX graphs from elsewhere: looked through before they are run, and run with bounded memory by onnxruntime alone."""

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from auscult.errors import FeatureError, nearest

if TYPE_CHECKING:
    import onnx
    import onnxruntime

MOST_BYTES = 2**31
"""Of a graph's file."""

MOST_MEMORY = 2**32
"""Bytes that all graphs of a process may take together."""

_FLOAT = 1  # of ONNX' kinds of tensors

DOMAINS = ("", "ai.onnx", "ai.onnx.ml", "com.microsoft")
"""Of the operators that onnxruntime has itself."""

ENDLESS = ("Loop", "Scan")
"""Operators that can go on without end."""


class Graph:
    """An encoder's graph: one float32 input, and one of its outputs.

    Args:
        path: of the file, which holds its own weights.
        input: name of the input; the graph's own one if none is given.
        output: name of the output; the graph's own one if none is given.
        device: `"cpu"` or `"cuda"`.

    Attributes:
        shape: of the input; none where the graph leaves a length open.

    Raises:
        FeatureError: for a file that is no such graph, with what is wrong with it.
    """

    def __init__(self, path: Path, *, input: str | None, output: str | None, device: str = "cpu") -> None:
        self.path = path
        model = _read(path)
        weights = {tensor.name for tensor in model.graph.initializer}
        inputs = {value.name: value for value in model.graph.input if value.name not in weights}
        self.input = _chosen(path, "input", list(inputs), input)
        self.output = _chosen(path, "output", [value.name for value in model.graph.output], output)
        if len(inputs) > 1:
            raise FeatureError(f"{path} wants the inputs {', '.join(inputs)}; give a graph that needs the sound alone")
        tensor = inputs[self.input].type.tensor_type
        if tensor.elem_type != _FLOAT:
            raise FeatureError(
                f"{path}: its input {self.input!r} is no float32 (type {tensor.elem_type}); export the graph in float32"
            )
        self.shape: tuple[int | None, ...] = tuple(dim.dim_value or None for dim in tensor.shape.dim)
        self._session = _session(path, device)

    def __call__(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """The output for an input of the graph's shape.

        Raises:
            FeatureError: if the graph fails, needs more memory than it may take, or gives what is no float32.
        """
        try:
            (found,) = self._session.run([self.output], {self.input: np.ascontiguousarray(values)})
        except Exception as error:  # onnxruntime raises kinds of its own
            raise FeatureError(
                f"{self.path} fails on an input of the shape {list(values.shape)}: {_short(error)}; it may take "
                f"{MOST_MEMORY >> 30} GB"
            ) from error
        if not isinstance(found, np.ndarray) or found.dtype != np.float32:
            kind = getattr(found, "dtype", type(found).__name__)
            raise FeatureError(f"{self.path}: its output {self.output!r} is {kind}; export the graph in float32")
        return found


def _read(path: Path) -> "onnx.ModelProto":
    """The graph without what may lie in other files, checked for all that can be seen in it."""
    try:
        import onnx
    except ImportError as error:
        raise FeatureError(f"{path} needs the package onnxruntime: pip install 'auscult[onnx]'") from error
    try:
        if (size := path.stat().st_size) > MOST_BYTES:
            raise FeatureError(f"{path} has {size} bytes; at most {MOST_BYTES} are allowed")
        model = onnx.load(path, load_external_data=False)
    except OSError as error:
        raise FeatureError(f"{path} cannot be read: {error.strerror}; check the path") from error
    except FeatureError:
        raise
    except Exception as error:  # whatever the parser raises
        raise FeatureError(f"{path} is no ONNX graph, or truncated ({_short(error)}); copy it again") from error
    if not model.graph.node or not model.graph.output:
        raise FeatureError(f"{path} is no ONNX graph, or truncated: it holds no operators; copy it again")
    elsewhere = [t.name for t in model.graph.initializer if t.data_location == onnx.TensorProto.EXTERNAL]
    if elsewhere:
        raise FeatureError(
            f"{path} keeps weights in other files ({elsewhere[0]}); save it whole, for instance with onnx.save_model("
            "..., save_as_external_data=False)"
        )
    foreign = sorted({f"{node.domain}.{node.op_type}" for node in model.graph.node if node.domain not in DOMAINS})
    if foreign or model.functions:
        raise FeatureError(
            f"{path} has operators of its own ({', '.join(foreign) or 'functions'}), which are not run; export it with "
            "those of ONNX alone"
        )
    if endless := sorted({node.op_type for node in model.graph.node if node.op_type in ENDLESS}):
        raise FeatureError(f"{path} has the operator {endless[0]}, which may never end; export it without loops")
    return model


def _chosen(path: Path, what: str, names: list[str], wanted: str | None) -> str:
    if wanted is None and len(names) == 1:
        return names[0]
    if wanted is None:
        raise FeatureError(f"{path} has the {what}s {', '.join(names)}; say which with {what}")
    if wanted not in names:
        raise FeatureError(f"{path} has no {what} {wanted!r}{nearest(wanted, names)}; it has {', '.join(names)}")
    return wanted


@cache
def _bounded() -> None:
    """Gives the sessions of this process one memory, which ends."""
    import onnxruntime as ort

    info = ort.OrtMemoryInfo("Cpu", ort.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, ort.OrtMemType.DEFAULT)
    ort.create_and_register_allocator(info, ort.OrtArenaCfg({"max_mem": MOST_MEMORY, "arena_extend_strategy": 1}))


def _session(path: Path, device: str) -> "onnxruntime.InferenceSession":
    try:
        import onnxruntime
    except ImportError as error:
        raise FeatureError(f"{path} needs the package onnxruntime: pip install 'auscult[onnx]'") from error
    _bounded()
    options: Any = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 4
    options.add_session_config_entry("session.use_env_allocators", "1")
    provider = "CUDAExecutionProvider" if device.startswith("cuda") else "CPUExecutionProvider"
    if provider not in onnxruntime.get_available_providers():
        raise FeatureError(
            f"{path}: this onnxruntime does not compute on {device}; choose cpu, or install onnxruntime-gpu"
        )
    try:
        return onnxruntime.InferenceSession(path, options, providers=[provider])
    except Exception as error:  # onnxruntime raises kinds of its own
        raise FeatureError(f"{path} is no graph that onnxruntime can run: {_short(error)}") from error


def _short(error: Exception) -> str:
    """The reason in one line, which stands behind places in code."""
    text = " ".join(str(error).split()).rsplit("Status Message: ", 1)[-1]
    return text if len(text) <= 120 else f"...{text[-120:]}"
