"""Narrow a graph to a window's last frames: whoever decodes a stream reads no others (`encoder/folded.py`).

F frame asked for, Q spatial token asked for, T frame, N spatial token.
"""

from __future__ import annotations

import numpy as np
import onnx

from .model import constants, set_constant, set_nodes, with_inputs

TAIL_F, TAIL_Q, POOL_FQ = "tail_F", "tail_Q", "pool_FQ"


def last_frames(model: onnx.ModelProto, frames: int | None) -> None:
    """Let the graph give only the last so many frames of each window; None, or a graph without frames: as it is.

    Raises ValueError for a number of frames that the window does not have.
    """
    values = constants(model)
    if TAIL_F not in values:
        return
    whole = len(values[TAIL_F])
    asked = whole if frames is None else frames
    if not 1 <= asked <= whole:
        raise ValueError(f"a window has 1 to {whole} last frames, not {frames}")
    if asked == whole:
        _take_all(model)
    else:
        set_constant(model, TAIL_F, values[TAIL_F][whole - asked :])
        if POOL_FQ in values:
            pool_FN = values[POOL_FQ][whole - asked :]
            read = np.flatnonzero(pool_FN.any(axis=0))
            set_constant(model, TAIL_Q, values[TAIL_Q][read])
            set_constant(model, POOL_FQ, pool_FN[:, read])
    model.graph.output[0].type.tensor_type.shape.dim[1].dim_value = asked
    del model.graph.value_info[:]


def _take_all(model: onnx.ModelProto) -> None:
    """Leave out the nodes that would choose among tokens of which all are chosen."""
    chosen = {TAIL_F, TAIL_Q}
    instead: dict[str, str] = {}
    nodes = []
    for node in model.graph.node:
        if node.op_type == "Gather" and node.input[1] in chosen:
            instead[node.output[0]] = instead.get(node.input[0], node.input[0])
        elif node.op_type in ("Reshape", "Cast", "Identity") and node.input[0] in chosen:
            chosen.add(node.output[0])  # the indices, as the exporter hands them to Gather
        else:
            nodes.append(with_inputs(node, instead))
    set_nodes(model, nodes)
