"""Blanks the GPU code that a check does not need in a copy of a CUDA library, so that it packs to a few MB.

    python slim_provider.py LIBRARY OUT ARCHITECTURE [--parts FILE] [--small BYTES]

Layout and size of the file stay: only the code of other architectures becomes zeros, and of this one
the parts larger than BYTES (default 100000) that FILE (addresses, one a line, as dry-run.sh leaves them) does not name. A
check's copy, not a library to ship.

A CUDA library holds its code as fat binaries: a header (magic 0xba55ed50, version, header size, size
of all entries), then entries (kind: 1 PTX, 2 machine code; header size at 4, code size at 8,
architecture at 28), each with its code behind its header.
"""

import argparse
import re
import struct
import subprocess
from pathlib import Path

MAGIC = b"\x50\xed\x55\xba"
MACHINE_CODE = 2


def parts(data):
    """(offset, entries) of each fat binary; an entry is (kind, architecture, first, size)."""
    at = data.find(MAGIC)
    while at >= 0:
        _, version, header, total = struct.unpack_from("<IHHQ", data, at)
        end = at + header + total
        if version != 1 or header != 16 or end > len(data):
            at = data.find(MAGIC, at + 4)
            continue
        entries = []
        place = at + header
        while place + 64 <= end:
            kind, _, entry_header, size = struct.unpack_from("<HHIQ", data, place)
            (architecture,) = struct.unpack_from("<I", data, place + 28)
            entries.append((kind, architecture, place + entry_header, size))
            place += entry_header + size
        yield at, entries
        at = data.find(MAGIC, end)


def file_offsets(library, addresses):
    """Where in the file something lies that is loaded at an address of its section."""
    sections = subprocess.run(["readelf", "-SW", library], check=True, capture_output=True, text=True).stdout
    found = re.search(r"\.nv_fatbin\s+\S+\s+([0-9a-f]+)\s+([0-9a-f]+)", sections)
    shift = int(found[2], 16) - int(found[1], 16)
    return {address + shift for address in addresses}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("library", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("architecture", type=int, help="such as 90")
    parser.add_argument("--parts", type=Path)
    parser.add_argument("--small", type=int, default=100000)
    options = parser.parse_args()

    data = bytearray(options.library.read_bytes())
    used = None
    if options.parts:
        used = file_offsets(options.library, {int(line, 16) for line in options.parts.read_text().split()})
    kept = blanked = 0
    missing = set(used or ())
    for offset, entries in parts(bytes(data)):
        own = sum(size for kind, architecture, _, size in entries if (kind, architecture) == (MACHINE_CODE, options.architecture))
        wanted = used is None or offset in used or own <= options.small
        missing.discard(offset)
        for kind, architecture, first, size in entries:
            if wanted and (kind, architecture) == (MACHINE_CODE, options.architecture):
                kept += size
            else:
                data[first : first + size] = bytes(size)
                blanked += size
    if missing or kept == 0:
        raise SystemExit(f"{options.library}: no code for sm_{options.architecture}, or no part at {sorted(map(hex, missing))}")
    options.out.write_bytes(data)
    print(f"{options.out}: {kept} bytes of code for sm_{options.architecture} kept, {blanked} blanked")


if __name__ == "__main__":
    main()
