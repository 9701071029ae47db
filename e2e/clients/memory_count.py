"""Counts occurrences of a text in the writable memory of a process: memory_count.py PID TEXT."""

import sys

pid, text = sys.argv[1], sys.argv[2].encode()
BLOCK = 1 << 20
times = 0
with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
    for line in maps:
        if " rw" not in line:
            continue
        at, end = (int(number, 16) for number in line.split(" ")[0].split("-"))
        while at < end:
            # Blocks overlap, so that every occurrence is complete in one of them.
            try:
                memory.seek(at)
                times += memory.read(min(BLOCK + len(text) - 1, end - at)).count(text)
            except OSError:
                # Unmapped in the meantime, or a device mapping.
                break
            at += BLOCK
print(times)
