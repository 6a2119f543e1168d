"""Runs calls of .onnx files: python run.py onnxruntime|onnx calls.json > results.json

Arrays are {dtype, shape, data}, data in base64. A call that fails gives {error}. Nothing of genzoo is imported.
"""

import base64
import importlib
import json
import sys
from pathlib import Path

import numpy as np


def run_onnxruntime(model, inputs):
    import onnxruntime

    session = onnxruntime.InferenceSession(Path(model).read_bytes())
    return dict(zip([o.name for o in session.get_outputs()], session.run(None, inputs), strict=True))


def run_onnx(model, inputs):
    from onnx.reference import ReferenceEvaluator

    evaluator = ReferenceEvaluator(model)
    with np.errstate(all="ignore"):  # it is numpy, which warns of an infinity that the graph discards
        return dict(zip(evaluator.output_names, evaluator.run(None, inputs), strict=True))


def decode(array):
    return np.frombuffer(base64.b64decode(array["data"]), array["dtype"]).reshape(array["shape"])


def encode(array):
    data = base64.b64encode(np.ascontiguousarray(array)).decode()
    return {"dtype": str(array.dtype), "shape": array.shape, "data": data}


def result(run, call):
    try:
        outputs = run(call["model"], {name: decode(a) for name, a in call["inputs"].items()})
    except Exception as error:  # whatever a runtime has
        return {"error": f"{type(error).__name__}: {error}"}
    return {"outputs": {name: encode(a) for name, a in outputs.items()}}


runtime, file = sys.argv[1:]
importlib.import_module(runtime)
calls = json.loads(Path(file).read_text())
json.dump([result({"onnxruntime": run_onnxruntime, "onnx": run_onnx}[runtime], call) for call in calls], sys.stdout)
