"""A typical web application: Flask's own server on port 9000, for web and event calls."""

import json
import os
import sys

from flask import Flask, Response, request

app = Flask(__name__)


@app.post("/event-invoke")
def event():
    print("event", json.dumps(request.get_json()), flush=True)
    return {"sum": sum(request.get_json()["numbers"])}


@app.get("/")
def index():
    print("to stderr", file=sys.stderr, flush=True)
    return f"flask as {os.getuid()} in {os.getcwd()} with {os.environ.get('COLOUR')}"


@app.post("/form")
def form():
    return {"name": request.form["name"], "file": len(request.files["file"].read())}


@app.get("/stream")
def stream():
    return Response((f"part {n}\n" for n in range(5)), mimetype="text/plain")


@app.get("/crash")
def crash():
    os._exit(7)


app.run(host="0.0.0.0", port=9000, threaded=True)
