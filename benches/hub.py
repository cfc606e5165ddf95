"""A registry on this machine, given what benchmarks copy."""

import hashlib
import http.client
import json
import sys

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"


def described(content, media):
    digest = "sha256:" + hashlib.sha256(content).hexdigest()
    return {"mediaType": media, "digest": digest, "size": len(content)}


class Hub:
    def __init__(self, port, repository):
        self.port, self.at = port, f"/v2/{repository}"
        self.connection = http.client.HTTPConnection("127.0.0.1", int(port))

    def call(self, method, url, body=b"", media="application/octet-stream"):
        self.connection.request(method, url, body, {"Content-Type": media})
        answer = self.connection.getresponse()
        answer.read()
        if answer.status >= 300:
            sys.exit(f"{method} {url}: {answer.status}")
        return answer

    def blob(self, content, media):
        entry = described(content, media)
        session = self.call("POST", f"{self.at}/blobs/uploads/").getheader("Location")
        session = session.split(f":{self.port}", 1)[-1]
        self.call("PUT", f"{session}{'&' if '?' in session else '?'}digest={entry['digest']}", content)
        return entry

    def manifest(self, value, tag=None):
        content = json.dumps(value).encode()
        entry = described(content, value["mediaType"])
        self.call("PUT", f"{self.at}/manifests/{tag or entry['digest']}", content, value["mediaType"])
        return entry
