"""Passes ONNX models through the checker of the onnx package.

usage: python check_onnx.py MODEL.onnx [MODEL.onnx ...]
Parameters that are declared without data get zeros first: the checker would look for them in files. Operators that
ONNX Runtime has under ONNX's own domain, and ONNX does not, are checked as those of any other domain: by form alone.
"""
import math
import sys

import onnx

OF_THE_RUNTIME = {"SimplifiedLayerNormalization"}

for path in sys.argv[1:]:
    model = onnx.load(path, load_external_data=False)
    for tensor in model.graph.initializer:
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            tensor.data_location = onnx.TensorProto.DEFAULT
            del tensor.external_data[:]
            tensor.raw_data = bytes(4 * math.prod(tensor.dims))
    for node in model.graph.node:
        if node.domain == "" and node.op_type in OF_THE_RUNTIME:
            node.domain = "recurrentkif"
    onnx.checker.check_model(model)
    print("valid", path)
