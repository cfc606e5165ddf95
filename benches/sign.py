#!/usr/bin/env python3
"""Stores what signers leave beside an image: `sign.py PORT REPOSITORY DIGEST`.

A signature under cosign's tag, an attestation of it, and an SBOM in the list of the tag schema,
with documents of the same form; nobody's key has signed them.
"""

import sys

from hub import INDEX, MANIFEST, Hub

port, repository, root = sys.argv[1:4]
hub = Hub(port, repository)


def artifact(text, tag=None, **more):
    return hub.manifest({
        "schemaVersion": 2, "mediaType": MANIFEST,
        "config": hub.blob(b"{}", "application/vnd.oci.image.config.v1+json"),
        "layers": [hub.blob(text, "application/vnd.dev.cosign.simplesigning.v1+json")]} | more, tag)


about = root.replace(":", "-")
signature = artifact(b"signature of " + root.encode(), f"{about}.sig")
artifact(b"attestation", f"{signature['digest'].replace(':', '-')}.att")
subject = {"mediaType": INDEX, "digest": root, "size": 0}
sbom = artifact(b"sbom", artifactType="application/spdx+json", subject=subject)
hub.manifest({"schemaVersion": 2, "mediaType": INDEX, "manifests": [sbom]}, about)
