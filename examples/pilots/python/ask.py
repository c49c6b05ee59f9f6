#!/usr/bin/env python3
"""A pilot in Python's standard library: asks a question, prints a cited answer, or says that the documents hold none.

    export AIRFIELD_URL=http://127.0.0.1:8080 AIRFIELD_KEY=afk_…
    python3 ask.py documents "How long are backups kept?"

Exit code 0 for an answer, 3 for none, 1 where something went wrong.
"""

import json
import os
import sys
import urllib.error
import urllib.request


class Refused(Exception):
    """The server answered with an error; its text is meant to be read."""


def call(path, body, **headers):
    """POSTs JSON and returns the decoded answer with its headers."""
    request = urllib.request.Request(
        os.environ["AIRFIELD_URL"].rstrip("/") + path,
        data=json.dumps(body).encode(),
        headers={"Authorization": "Bearer " + os.environ["AIRFIELD_KEY"], "Content-Type": "application/json", **headers},
    )
    try:
        with urllib.request.urlopen(request, timeout=120) as response:
            return json.load(response), response.headers
    except urllib.error.HTTPError as e:
        error = json.load(e)["error"]
        raise Refused(f"{error['message']} ({error['code']}, status {e.code})") from None


def place(citation):
    """Where a citation points: document, version, page, heading."""
    parts = [citation["document"], f"version {citation['version']}"]
    if citation.get("page_from"):
        parts.append(f"page {citation['page_from']}")
    if citation.get("heading"):
        parts.append("§ " + citation["heading"][-1])
    return ", ".join(parts)


def main(collection, question):
    # Tags are kept with the call: `airfield calls` and the call's row show them.
    answer, _ = call("/v1/answers", {"question": question, "collection": collection}, **{"X-Airfield-Tags": "pilot=python"})
    print(answer["text"])
    for citation in answer["citations"]:
        print(f"  [{citation['n']}] {place(citation)}\n      “{citation['quote']}”")
    print(f"  {answer.get('model', 'no model asked')}, ${answer['cost_usd']}, trace {answer['trace_id']}")
    return 0 if answer["found"] else 3


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: ask.py COLLECTION QUESTION")
    try:
        sys.exit(main(*sys.argv[1:]))
    except (Refused, urllib.error.URLError, KeyError) as e:
        sys.exit(f"ask.py: {e}" if not isinstance(e, KeyError) else f"ask.py: set {e.args[0]}")
