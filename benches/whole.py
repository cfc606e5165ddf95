#!/usr/bin/env python3
"""Says what of an image is not in another registry: `whole.py PORT OTHER_PORT REPOSITORY DIGEST`.

Documents, blobs, and what is about any of them (the tag schema, cosign's tags); prints how many
there are and how many the other one lacks, or has with other bytes: `31 0`.
"""

import hashlib
import json
import sys
import urllib.error
import urllib.request

port, other, repository, root = sys.argv[1:5]
ACCEPT = ", ".join([
    "application/vnd.oci.image.index.v1+json", "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.docker.distribution.manifest.v2+json"])


def get(at, kind, name):
    url = f"http://127.0.0.1:{at}/v2/{repository}/{kind}/{name}"
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers={"Accept": ACCEPT})) as answer:
            return answer.read()
    except urllib.error.HTTPError:
        return None


def digest(content):
    return "sha256:" + hashlib.sha256(content).hexdigest()


found, waiting = {}, [root]
while waiting:
    name = waiting.pop()
    content = get(port, "manifests", name)
    if content is None or name in found:
        continue
    found[name] = ("manifests", digest(content))
    document = json.loads(content)
    waiting += [entry["digest"] for entry in document.get("manifests", [])]
    blobs = document.get("layers", []) + [document[key] for key in ["config"] if key in document]
    for blob in blobs:
        found[blob["digest"]] = ("blobs", blob["digest"])
    if name.startswith("sha256:"):
        about = name.replace(":", "-")
        waiting += [about] + [f"{about}.{kind}" for kind in ["sig", "att", "sbom"]]
missing = 0
for name, (kind, wanted) in found.items():
    content = get(other, kind, name)
    missing += content is None or digest(content) != wanted
print(len(found), missing)
