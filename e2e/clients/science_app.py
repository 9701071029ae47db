"""A numerical web application: NumPy, SciPy and ONNX Runtime from PyPI behind http.server on port
9000.
"""

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

sys.path.insert(0, "/opt/wheels")

import numpy
import onnxruntime
import scipy.linalg
import scipy.optimize


def field(number, value):
    """Encodes one field of a protocol buffer."""
    if isinstance(value, int):
        return bytes([number << 3, value])
    data = value.encode() if isinstance(value, str) else value
    return bytes([number << 3 | 2, len(data)]) + data


def vector(name):
    """Encodes a ValueInfoProto of three floats."""
    shape = field(1, field(1, 3))
    return field(1, name) + field(2, field(1, field(1, 1) + field(2, shape)))


def model():
    """Encodes a minimal ModelProto of `out = left * right` (IR version 8, operator set 13)."""
    node = field(1, "left") + field(1, "right") + field(2, "out") + field(4, "Mul")
    graph = field(1, node) + field(2, "product") + field(11, vector("left")) + field(11, vector("right"))
    return field(1, 8) + field(7, graph + field(12, vector("out"))) + field(8, field(1, "") + field(2, 13))


SESSION = onnxruntime.InferenceSession(model(), providers=["CPUExecutionProvider"])


def answer():
    left, right = numpy.array([1, 2, 3], numpy.float32), numpy.array([4, 5, 6], numpy.float32)
    determinant = scipy.linalg.det(numpy.array([[2.0, 1.0], [1.0, 3.0]]))
    root = scipy.optimize.brentq(lambda x: x**3 - 2, 0, 2)
    return {
        "dot": float(left @ right),
        "determinant": round(float(determinant), 6),
        "root": round(root, 6),
        "product": SESSION.run(None, {"left": left, "right": right})[0].tolist(),
    }


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        body = json.dumps(answer()).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


ThreadingHTTPServer(("", 9000), Handler).serve_forever()
