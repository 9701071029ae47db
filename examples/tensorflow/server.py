"""A SavedModel behind the REST API of TensorFlow Serving: status, metadata and predict of its
newest version.

Settings are those of the image tensorflow/serving: MODEL_NAME, MODEL_BASE_PATH. The server listens
only after the model is loaded and has run once, so that the first call after the port opens is
fast.
"""

import json
import os
import re
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import tensorflow as tf
from tensorflow.core.framework.types_pb2 import DataType

NAME = os.environ.get("MODEL_NAME", "half_plus_two")
BASE = os.path.join(os.environ.get("MODEL_BASE_PATH", "/models"), NAME)
PORT = int(os.environ.get("PORT", "9000"))
BODY_BYTES_MAX = 6 << 20

PATH = re.compile(r"/v1/models/(?P<name>[^/:]+)(?:/versions/(?P<version>\d+))?(?P<verb>/metadata|:predict)?")


class Refused(Exception):
    """An error response to a client: a status and the reason."""

    def __init__(self, status, reason):
        super().__init__(reason)
        self.status = status


class Model:
    def __init__(self, base):
        self.version = max((name for name in os.listdir(base) if name.isdecimal()), key=int)
        self.loaded = tf.saved_model.load(os.path.join(base, self.version))
        # The first call of a signature builds its graph.
        for signature in self.loaded.signatures.values():
            signature(**{name: tf.zeros([1 if n is None else n for n in spec.shape], spec.dtype)
                         for name, spec in inputs(signature).items()})

    def signature(self, name):
        if name not in self.loaded.signatures:
            raise Refused(400, f'Serving signature name: "{name}" not found in signature def')
        return self.loaded.signatures[name]

    def predict(self, body):
        """Takes rows as `instances`, or columns as `inputs`; the result has the same form."""
        signature = self.signature(body.get("signature_name", "serving_default"))
        if ("instances" in body) == ("inputs" in body):
            raise Refused(400, "Request must have exactly one of 'instances' and 'inputs'")
        rows = "instances" in body
        specs = inputs(signature)
        try:
            given = columns(body["instances"], specs) if rows else named(body["inputs"], specs)
            tensors = {name: tf.constant(given[name], spec.dtype) for name, spec in specs.items()}
            outputs = {name: tensor.numpy().tolist() for name, tensor in signature(**tensors).items()}
        except (KeyError, TypeError, ValueError, tf.errors.OpError) as error:
            raise Refused(400, f"Failed to process the inputs: {error}") from error
        if not rows:
            return {"outputs": only_or_all(outputs)}
        made = [only_or_all(dict(zip(outputs, row))) for row in zip(*outputs.values())]
        return {"predictions": made}

    def status(self):
        state = {"version": self.version, "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
        return {"model_version_status": [state]}

    def metadata(self):
        signatures = {}
        for name, signature in self.loaded.signatures.items():
            signatures[name] = {"inputs": described(inputs(signature)),
                                "outputs": described(signature.structured_outputs),
                                "method_name": "tensorflow/serving/predict"}
        spec = {"name": NAME, "signature_name": "", "version": self.version}
        return {"model_spec": spec, "metadata": {"signature_def": {"signature_def": signatures}}}


def inputs(signature):
    return signature.structured_input_signature[1]


def described(specs):
    def dimensions(spec):
        return [{"size": str(-1 if n is None else n), "name": ""} for n in spec.shape]

    return {name: {"dtype": DataType.Name(spec.dtype.as_datatype_enum), "name": f"{spec.name}:0",
                   "tensor_shape": {"dim": dimensions(spec), "unknown_rank": False}}
            for name, spec in specs.items()}


def columns(instances, specs):
    """Transposes rows to columns; a row is a value, or an object when there are several inputs."""
    rows = [row if isinstance(row, dict) else named(row, specs) for row in instances]
    return {name: [row[name] for row in rows] for name in specs}


def named(value, specs):
    if isinstance(value, dict):
        return value
    if len(specs) != 1:
        raise ValueError(f"name the inputs: {', '.join(specs)}")
    return {next(iter(specs)): value}


def only_or_all(outputs):
    return next(iter(outputs.values())) if len(outputs) == 1 else outputs


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.handle_path({None: MODEL.status, "/metadata": MODEL.metadata})

    def do_POST(self):
        self.handle_path({":predict": lambda: MODEL.predict(self.body())})

    def body(self):
        length = int(self.headers.get("content-length", 0))
        if length > BODY_BYTES_MAX:
            raise Refused(413, f"{length} bytes; at most {BODY_BYTES_MAX}")
        try:
            body = json.loads(self.rfile.read(length))
        except ValueError as error:
            raise Refused(400, f"JSON Parse error: {error}") from error
        if not isinstance(body, dict):
            raise Refused(400, "JSON Value must be an object")
        return body

    def handle_path(self, verbs):
        try:
            path = PATH.fullmatch(self.path.partition("?")[0])
            if not path or path["verb"] not in verbs:
                raise Refused(404, f"Malformed request: {self.command} {self.path}")
            if path["name"] != NAME or path["version"] not in (None, MODEL.version):
                raise Refused(404, f"Servable not found for request: Specific({path['name']}, {path['version']})")
            self.answer(200, verbs[path["verb"]]())
        except Refused as refused:
            self.answer(refused.status, {"error": str(refused)})

    def answer(self, status, said):
        body = json.dumps(said).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """Prints nothing: the platform logs each request."""


if __name__ == "__main__":
    MODEL = Model(BASE)
    print(f"{NAME} version {MODEL.version} is loaded", flush=True)
    ThreadingHTTPServer(("", PORT), Handler).serve_forever()
