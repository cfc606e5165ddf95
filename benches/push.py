#!/usr/bin/env python3
"""Pushes an image of random layers: `push.py PORT REPOSITORY PLATFORMS LAYERS MIB`.

Every platform has layers of its own; with more than one platform there is an index. It gets the
tag 1, and its digest is printed. The bytes depend on the sizes alone, so that two repositories hold
the same blobs.
"""

import json
import random
import sys

from hub import INDEX, MANIFEST, Hub

platforms, layers, mib = map(int, sys.argv[3:6])
hub = Hub(*sys.argv[1:3])
entries = []
for platform in range(platforms):
    content = [random.Random(1000 * platform + n).randbytes(mib << 20) for n in range(layers)]
    found = [hub.blob(layer, "application/vnd.oci.image.layer.v1.tar") for layer in content]
    diffs = [layer["digest"] for layer in found]
    architecture = ["amd64", "arm64", "ppc64le", "s390x"][platform]
    config = {"os": "linux", "architecture": architecture,
              "rootfs": {"type": "layers", "diff_ids": diffs}}
    config = hub.blob(json.dumps(config).encode(), "application/vnd.oci.image.config.v1+json")
    image = {"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": found}
    entry = hub.manifest(image, "1" if platforms == 1 else None)
    entries.append(entry | {"platform": {"os": "linux", "architecture": architecture}})
if platforms > 1:
    entries = [hub.manifest({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}, "1")]
print(entries[0]["digest"])
