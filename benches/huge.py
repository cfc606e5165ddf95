#!/usr/bin/env python3
"""Pushes an image of one random layer that is larger than memory should be: `huge.py PORT REPOSITORY MIB`.

It is made and sent piece by piece, gets the tag 1, and its digest is printed.
"""

import hashlib
import json
import random
import sys

from hub import MANIFEST, Hub

PIECE_MIB = 64

mib = int(sys.argv[3])
hub = Hub(*sys.argv[1:3])


def within(location):
    return location.split(f":{hub.port}", 1)[-1]


hashed = hashlib.sha256()
session = within(hub.call("POST", f"{hub.at}/blobs/uploads/").getheader("Location"))
for at in range(0, mib, PIECE_MIB):
    piece = random.Random(at).randbytes(min(PIECE_MIB, mib - at) << 20)
    hashed.update(piece)
    session = within(hub.call("PATCH", session, piece).getheader("Location"))
digest = "sha256:" + hashed.hexdigest()
hub.call("PUT", f"{session}{'&' if '?' in session else '?'}digest={digest}")
layer = {"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": digest, "size": mib << 20}
config = {"os": "linux", "architecture": "amd64", "rootfs": {"type": "layers", "diff_ids": [digest]}}
config = hub.blob(json.dumps(config).encode(), "application/vnd.oci.image.config.v1+json")
image = {"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [layer]}
print(hub.manifest(image, "1")["digest"])
