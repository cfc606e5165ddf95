#!/usr/bin/env python3
"""Stores what signers leave beside an image: `sign.py PORT REPOSITORY DIGEST`.

A signature under cosign's tag, an attestation of it, and an SBOM in the list of the tag schema,
with documents of the same form; nobody's key has signed them.
"""

import hashlib
import http.client
import json
import sys

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
port, repository, root = sys.argv[1:4]
hub = http.client.HTTPConnection("127.0.0.1", int(port))


def call(method, url, body=b"", media="application/octet-stream"):
    hub.request(method, url, body, {"Content-Type": media})
    answer = hub.getresponse()
    answer.read()
    if answer.status >= 300:
        sys.exit(f"{method} {url}: {answer.status}")
    return answer


def described(content, media):
    digest = "sha256:" + hashlib.sha256(content).hexdigest()
    return {"mediaType": media, "digest": digest, "size": len(content)}


def blob(content, media):
    entry = described(content, media)
    session = call("POST", f"/v2/{repository}/blobs/uploads/").getheader("Location")
    session = session.split(f":{port}", 1)[-1]
    call("PUT", f"{session}{'&' if '?' in session else '?'}digest={entry['digest']}", content)
    return entry


def manifest(value, tag=None):
    content = json.dumps(value).encode()
    entry = described(content, value["mediaType"])
    call("PUT", f"/v2/{repository}/manifests/{tag or entry['digest']}", content, value["mediaType"])
    return entry


def artifact(text, tag=None, **more):
    return manifest({
        "schemaVersion": 2, "mediaType": MANIFEST,
        "config": blob(b"{}", "application/vnd.oci.image.config.v1+json"),
        "layers": [blob(text, "application/vnd.dev.cosign.simplesigning.v1+json")]} | more, tag)


about = root.replace(":", "-")
signature = artifact(b"signature of " + root.encode(), f"{about}.sig")
artifact(b"attestation", f"{signature['digest'].replace(':', '-')}.att")
subject = {"mediaType": INDEX, "digest": root, "size": 0}
sbom = artifact(b"sbom", artifactType="application/spdx+json", subject=subject)
manifest({"schemaVersion": 2, "mediaType": INDEX, "manifests": [sbom]}, about)
