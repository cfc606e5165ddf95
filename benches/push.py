#!/usr/bin/env python3
"""Pushes an image of random layers: `push.py PORT REPOSITORY PLATFORMS LAYERS MIB`.

Every platform has layers of its own; with more than one platform there is an index. It gets the
tag 1, and its digest is printed. The bytes depend on the sizes alone, so that two repositories hold
the same blobs.
"""

import hashlib
import http.client
import json
import random
import sys

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
port, repository, platforms, layers, mib = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:6])
hub = http.client.HTTPConnection("127.0.0.1", int(port))


def call(method, url, body=b"", media="application/octet-stream"):
    hub.request(method, url, body, {"Content-Type": media})
    answer = hub.getresponse()
    answer.read()
    if answer.status >= 300:
        sys.exit(f"{method} {url}: {answer.status}")
    return answer


def blob(content, media):
    digest = "sha256:" + hashlib.sha256(content).hexdigest()
    session = call("POST", f"/v2/{repository}/blobs/uploads/").getheader("Location")
    session = session.split(f":{port}", 1)[-1]
    call("PUT", f"{session}{'&' if '?' in session else '?'}digest={digest}", content)
    return {"mediaType": media, "digest": digest, "size": len(content)}


def manifest(value, name=None):
    body = json.dumps(value).encode()
    digest = "sha256:" + hashlib.sha256(body).hexdigest()
    call("PUT", f"/v2/{repository}/manifests/{name or digest}", body, value["mediaType"])
    return {"mediaType": value["mediaType"], "digest": digest, "size": len(body)}


entries = []
for platform in range(platforms):
    content = [random.Random(1000 * platform + n).randbytes(mib << 20) for n in range(layers)]
    found = [blob(layer, "application/vnd.oci.image.layer.v1.tar") for layer in content]
    diffs = [layer["digest"] for layer in found]
    architecture = ["amd64", "arm64", "ppc64le", "s390x"][platform]
    config = {"os": "linux", "architecture": architecture,
              "rootfs": {"type": "layers", "diff_ids": diffs}}
    config = blob(json.dumps(config).encode(), "application/vnd.oci.image.config.v1+json")
    image = {"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": found}
    entry = manifest(image, "1" if platforms == 1 else None)
    entries.append(entry | {"platform": {"os": "linux", "architecture": architecture}})
if platforms > 1:
    entries = [manifest({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}, "1")]
print(entries[0]["digest"])
