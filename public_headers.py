#!/usr/bin/env python3
"""Prints the headers that are installed: loragrad.h, and what it includes, directly or not."""
import pathlib
import re

ROOT = pathlib.Path(__file__).parent


def public_headers(header="loragrad.h", found=None):
    found = [] if found is None else found
    if header not in found and (ROOT / header).exists():
        found.append(header)
        for included in re.findall(r'^#include "([^"]+)"', (ROOT / header).read_text(), re.MULTILINE):
            public_headers(included, found)
    return found


if __name__ == "__main__":
    print("\n".join(public_headers()))
