"""Rewrites the config of an OCI layout's only image: another architecture, or (second argument) no entry point."""

import hashlib
import json
import pathlib
import sys

layout = pathlib.Path(sys.argv[1])


def read(digest):
    return json.loads((layout / "blobs/sha256" / digest.split(":")[1]).read_bytes())


def write(content):
    data = json.dumps(content).encode()
    digest = hashlib.sha256(data).hexdigest()
    (layout / "blobs/sha256" / digest).write_bytes(data)
    return {"digest": f"sha256:{digest}", "size": len(data)}


index = json.loads((layout / "index.json").read_text())
manifest = read(index["manifests"][0]["digest"])
config = read(manifest["config"]["digest"])
if sys.argv[2:] == ["no-entrypoint"]:
    for name in ("Entrypoint", "Cmd"):
        config["config"].pop(name, None)
else:
    config["architecture"] = "arm64"
manifest["config"].update(write(config))
index["manifests"][0].update(write(manifest))
index["manifests"][0].pop("platform", None)
(layout / "index.json").write_text(json.dumps(index))
