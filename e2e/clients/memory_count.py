"""How often a text is in the memory that a process can write: memory_count.py PID TEXT."""

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
            # Blocks overlap, so that one of them has the whole of a text.
            try:
                memory.seek(at)
                times += memory.read(min(BLOCK + len(text) - 1, end - at)).count(text)
            except OSError:
                # Unmapped meanwhile, or of a device.
                break
            at += BLOCK
print(times)
