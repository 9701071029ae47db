"""An event function that transcodes the films of a bucket. For each object in an event, it
downloads the film from the store, transcodes it with FFmpeg, and uploads the result under another
prefix of the same bucket.

It is an ordinary HTTP server on port 9000. Events arrive as `POST /event-invoke`; status 200 means
success, 500 failure, with the reason as body. Settings are environment variables: S3_ENDPOINT,
S3_ACCESS_KEY, S3_SECRET_KEY, S3_REGION, OUT_PREFIX, HEIGHT.
"""

import datetime
import hashlib
import hmac
import json
import os
import shutil
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import PurePosixPath
from urllib.parse import quote, urlsplit

ENDPOINT = os.environ.get("S3_ENDPOINT", "").rstrip("/")
ACCESS_KEY = os.environ.get("S3_ACCESS_KEY", "")
SECRET_KEY = os.environ.get("S3_SECRET_KEY", "")
REGION = os.environ.get("S3_REGION", "us-east-1")
OUT_PREFIX = os.environ.get("OUT_PREFIX", "out/")
HEIGHT = int(os.environ.get("HEIGHT", "360"))

STORE_TIMEOUT_S = 30
PROGRESS_EVERY_S = 1
REASON_LINES_MAX = 5


class Failed(Exception):
    """A failed operation, its subject and the cause, for the log and the dead letter."""


# The store: GET and PUT signed with AWS Signature Version 4.


def signed_headers(method, path, now):
    """Returns the headers of a request without a query; the signature does not cover the body."""
    moment, day = now.strftime("%Y%m%dT%H%M%SZ"), now.strftime("%Y%m%d")
    headers = {"host": urlsplit(ENDPOINT).netloc, "x-amz-content-sha256": "UNSIGNED-PAYLOAD", "x-amz-date": moment}
    names = ";".join(sorted(headers))
    lines = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers))
    canonical = f"{method}\n{path}\n\n{lines}\n{names}\nUNSIGNED-PAYLOAD"
    scope = f"{day}/{REGION}/s3/aws4_request"
    text = f"AWS4-HMAC-SHA256\n{moment}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    key = ("AWS4" + SECRET_KEY).encode()
    for part in (day, REGION, "s3", "aws4_request", text):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    credential = f"Credential={ACCESS_KEY}/{scope}, SignedHeaders={names}, Signature={key.hex()}"
    return {**headers, "authorization": f"AWS4-HMAC-SHA256 {credential}"}


def ask(method, bucket, key, body=None, more=None):
    """Sends one request to the store and returns the response, which the caller must close."""
    path = f"/{quote(bucket, safe='')}/{quote(key, safe='/~')}"
    headers = signed_headers(method, path, datetime.datetime.now(datetime.timezone.utc))
    request = urllib.request.Request(ENDPOINT + path, body, {**headers, **(more or {})}, method=method)
    try:
        return urllib.request.urlopen(request, timeout=STORE_TIMEOUT_S)
    except urllib.error.HTTPError as error:
        said = error.read(500).decode(errors="replace")
        raise Failed(f"the store answers {error.code} to {method} {bucket}/{key}: {said}") from error
    except OSError as error:
        raise Failed(f"the store {ENDPOINT} cannot be reached for {method} {bucket}/{key}: {error}") from error


def get(bucket, key, file):
    with ask("GET", bucket, key) as answer, open(file, "wb") as out:
        try:
            shutil.copyfileobj(answer, out)
        except OSError as error:
            raise Failed(f"the store {ENDPOINT} broke off while it sent {bucket}/{key}: {error}") from error
        got, size = out.tell(), int(answer.headers["content-length"])
    if got != size:
        raise Failed(f"the store {ENDPOINT} broke off after {got} of {size} bytes of {bucket}/{key}")
    return got


def put(bucket, key, file):
    size = os.path.getsize(file)
    with open(file, "rb") as body:
        ask("PUT", bucket, key, body, {"content-type": "video/mp4", "content-length": str(size)}).close()
    return size


# The film.


def duration_s(film, key):
    """Returns the length of a film in seconds; 0 when its container has none."""
    command = ["ffprobe", "-v", "error", "-show_entries", "format=duration", "-of", "json", film]
    probed = subprocess.run(command, capture_output=True, text=True)
    if probed.returncode != 0:
        raise Failed(f"{key} is not a film: {last_lines(probed.stderr)}")
    try:
        return float(json.loads(probed.stdout)["format"]["duration"])
    except (KeyError, ValueError):
        return 0.0


def transcode(film, result, key):
    """Writes an MP4 that a browser can play while it loads, and prints the progress."""
    length_s, printed = duration_s(film, key), 0.0
    command = ["ffmpeg", "-v", "error", "-xerror", "-y", "-i", film, "-vf", f"scale=-2:{HEIGHT}"]
    command += ["-c:v", "libx264", "-preset", "veryfast", "-crf", "28", "-pix_fmt", "yuv420p", "-c:a", "aac"]
    command += ["-movflags", "+faststart", "-progress", "pipe:1", "-nostats", "-stats_period", "0.5", result]
    with tempfile.TemporaryFile("w+") as errors:
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True) as ffmpeg:
            for line in ffmpeg.stdout:
                name, _, value = line.strip().partition("=")
                if name != "out_time_us" or not value.isdecimal() or time.monotonic() < printed + PROGRESS_EVERY_S:
                    continue
                printed, done_s = time.monotonic(), int(value) / 1e6
                share = f" of {length_s:.1f} s, {min(done_s / length_s, 1):.0%}" if length_s else ""
                print(f"{key}: transcoded {done_s:.1f} s{share}", flush=True)
        if ffmpeg.returncode != 0:
            errors.seek(0)
            raise Failed(f"ffmpeg cannot transcode {key}: {last_lines(errors.read())}")


def last_lines(text):
    return " | ".join(text.strip().splitlines()[-REASON_LINES_MAX:])


def smaller(bucket, key):
    """Transcodes one object; a repeated run overwrites the result."""
    target = OUT_PREFIX + str(PurePosixPath(key).with_suffix(".mp4").name)
    with tempfile.TemporaryDirectory() as work:
        film, result = os.path.join(work, "film"), os.path.join(work, "result.mp4")
        print(f"{key}: {get(bucket, key, film)} bytes from the store", flush=True)
        transcode(film, result, key)
        print(f"{key}: {put(bucket, target, result)} bytes put as {target}", flush=True)
    return target


def objects(event):
    """Yields bucket and key of each record; a COS key is /appid/bucket/key."""
    for record in event["Records"]:
        about = record["cos"]
        yield about["cosBucket"]["name"], about["cosObject"]["key"].split("/", 3)[3]


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        event = json.loads(self.rfile.read(int(self.headers["content-length"])))
        try:
            self.answer(200, {"made": [smaller(bucket, key) for bucket, key in objects(event)]})
        except Failed as error:
            print(f"failed: {error}", flush=True)
            self.answer(500, {"error": str(error)})

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
    HTTPServer(("", 9000), Handler).serve_forever()
