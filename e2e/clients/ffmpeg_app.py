"""An event function that encodes a second of FFmpeg's test picture and returns its properties."""

import json
import subprocess
from http.server import BaseHTTPRequestHandler, HTTPServer


def film(seconds, size):
    source = f"testsrc=duration={seconds}:size={size}:rate=10"
    make = ["ffmpeg", "-v", "error", "-y", "-f", "lavfi", "-i", source, "-c:v", "mpeg4", "/tmp/film.mp4"]
    subprocess.run(make, check=True)
    ask = ["ffprobe", "-v", "error", "-count_frames", "-of", "json", "-show_streams", "/tmp/film.mp4"]
    stream = json.loads(subprocess.run(ask, check=True, capture_output=True).stdout)["streams"][0]
    return {name: stream[name] for name in ["codec_name", "width", "height", "nb_read_frames"]}


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        event = json.loads(self.rfile.read(int(self.headers["content-length"])))
        version = subprocess.run(["ffmpeg", "-version"], check=True, capture_output=True, text=True).stdout
        answer = {"version": version.splitlines()[0], **film(event["seconds"], event["size"])}
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


HTTPServer(("", 9000), Handler).serve_forever()
