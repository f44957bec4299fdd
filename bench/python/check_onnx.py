"""Passes ONNX models through the checker and the type and shape inference of the onnx package.

usage: python check_onnx.py MODEL.onnx [MODEL.onnx ...]
Parameters that are declared without data get zeros first: the checker would look for them in files. Operators that
ONNX Runtime has under ONNX's own domain, and ONNX does not, are checked as those of our own: by form alone, and types
and shapes are not inferred where there are such.
"""
import math
import sys

import onnx

OF_THE_RUNTIME = {"SimplifiedLayerNormalization"}
BYTES = {onnx.TensorProto.FLOAT: 4, onnx.TensorProto.BFLOAT16: 2}

for path in sys.argv[1:]:
    model = onnx.load(path, load_external_data=False)
    for tensor in model.graph.initializer:
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            tensor.data_location = onnx.TensorProto.DEFAULT
            del tensor.external_data[:]
            tensor.raw_data = bytes(BYTES[tensor.data_type] * math.prod(tensor.dims))
    for node in model.graph.node:
        if node.domain == "" and node.op_type in OF_THE_RUNTIME:
            node.domain = "recurrentkif"
    stock = all(node.domain in ("", "com.microsoft") for node in model.graph.node)
    onnx.checker.check_model(model, full_check=stock)
    print("valid", path)
