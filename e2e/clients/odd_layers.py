"""Writes the tars of three layers with every unusual entry that tools have produced, as layer-1.tar
to layer-3.tar.

With `whole` as second argument, files that are sparse in the old GNU format are written without
holes, for readers that do not support that format.

Entries that Python's tarfile cannot write are assembled here.
"""

import io
import pathlib
import struct
import sys
import tarfile

WHOLE = sys.argv[2:] == ["whole"]
BLOCK = 512
MTIME = 1_600_000_000


def padded(data):
    return data + b"\0" * (-len(data) % BLOCK)


def number(value, width):
    """Encodes a field as octal digits, or in base 256 where those do not suffice (GNU)."""
    if 0 <= value < 8 ** (width - 1):
        return b"%0*o\0" % (width - 1, value)
    return bytes([0x80 if value >= 0 else 0xFF]) + value.to_bytes(width - 1, "big", signed=True)


def header(name, kind=b"0", size=0, mode=0o644, uid=0, gid=0, mtime=MTIME, target=b"", major=0, minor=0, gnu=True, tail=b""):
    """Builds a header block of arbitrary bytes; `tail` follows the device numbers."""
    assert len(name) <= 100 and len(target) <= 100
    magic = b"ustar  \0" if gnu else b"ustar\x0000"
    block = name.ljust(100, b"\0") + number(mode, 8) + number(uid, 8) + number(gid, 8) + number(size, 12)
    block += number(mtime, 12) + b" " * 8 + kind + target.ljust(100, b"\0") + magic + b"\0" * 64
    block += number(major, 8) + number(minor, 8) + tail
    block = block.ljust(BLOCK, b"\0")
    return block[:148] + b"%06o\0 " % sum(block) + block[156:]


def pax(records, kind=b"x"):
    """Builds an extended header with records of arbitrary bytes."""
    data = b""
    for key, value in records:
        length = len(key) + len(value) + 3
        while len(str(length)) + len(key) + len(value) + 3 != length:
            length = len(str(length)) + len(key) + len(value) + 3
        data += b"%d %s=%s\n" % (length, key, value)
    return header(b"PaxHeaders/x", kind, len(data), gnu=False) + padded(data)


class Layer:
    def __init__(self):
        self.out = io.BytesIO()

    def raw(self, *blocks):
        for block in blocks:
            self.out.write(padded(block))

    def add(self, name, kind=tarfile.REGTYPE, data=b"", form=tarfile.PAX_FORMAT, **fields):
        """Adds an entry written by tarfile."""
        info = tarfile.TarInfo(name)
        info.type, info.size, info.mtime = kind, len(data), MTIME
        info.mode = 0o755 if kind == tarfile.DIRTYPE else 0o644
        for key, value in fields.items():
            setattr(info, key, value)
        self.raw(info.tobuf(form, "utf-8", "surrogateescape"), data)

    def dir(self, name, **fields):
        self.add(name + "/", tarfile.DIRTYPE, **fields)

    def symlink(self, name, target, **fields):
        self.add(name, tarfile.SYMTYPE, linkname=target, mode=0o777, **fields)

    def link(self, name, target, **fields):
        self.add(name, tarfile.LNKTYPE, linkname=target, **fields)

    def with_xattrs(self, name, attributes, kind=b"0", mode=0o644, data=b"content"):
        data = data if kind == b"0" else b""
        records = [(b"SCHILY.xattr." + key, value) for key, value in attributes]
        self.raw(pax(records), header(name, kind, len(data), mode, gnu=False), data)

    def save(self, file):
        file.write_bytes(self.out.getvalue() + b"\0" * 2 * BLOCK)


def long_names(layer):
    for name, form in [("gnu", tarfile.GNU_FORMAT), ("pax", tarfile.PAX_FORMAT)]:
        layer.dir(f"long-{name}")
        layer.add(f"long-{name}/" + "n" * 255, data=b"longest name", form=form)
        path = f"long-{name}"
        for letter in "abcd":
            path += "/" + letter * 90
            layer.dir(path, form=form)
        layer.add(f"{path}/file", data=b"longest path", form=form)
        layer.symlink(f"{path}/symlink", "t" * 300, form=form)
        layer.link(f"{path}/link", f"{path}/file", form=form)
    # The path is split into prefix and name.
    layer.dir("u" * 90)
    layer.add("u" * 90 + "/" + "v" * 90, data=b"ustar", form=tarfile.USTAR_FORMAT)


def strange_names(layer):
    layer.dir("names")
    for name in ["spaced name", "-dash", "per%cent", 'quo"te', "back\\slash", "new\nline", "\x01\x7f", "grüße", "日本", "..dots", "...", "~"]:
        layer.add("names/" + name, data=name.encode())
    # Names that are not UTF-8, in each possible encoding.
    layer.raw(header(b"names/latin-\xe9\xff", size=5), b"latin")
    layer.raw(pax([(b"path", b"names/pax-\xe9\xff")]), header(b"names/pax", size=3, gnu=False), b"pax")
    layer.raw(header(b"names/to-latin", b"2", mode=0o777, target=b"latin-\xe9\xff"))
    layer.raw(header(b"names/link-\xe9", b"1", target=b"names/latin-\xe9\xff"))
    layer.add("./names/.//dotted", data=b"dotted")


def times_and_owners(layer):
    layer.dir("times")
    layer.raw(header(b"times/before-1970", mtime=-86_400, size=3), b"old")
    layer.raw(header(b"times/beyond-octal", mtime=9_000_000_000, size=3), b"new")
    for name, mtime in [(b"nanoseconds", b"1700000000.123456789"), (b"half-before-1970", b"-1.5"), (b"tenth", b"1.1"), (b"zero", b"0")]:
        layer.raw(pax([(b"mtime", mtime)]), header(b"times/" + name, gnu=False))
    layer.raw(pax([(b"mtime", b"1234567890.000000001")]), header(b"times/directory/", b"5", mode=0o755, gnu=False))
    layer.raw(pax([(b"mtime", b"-0.000000001")]), header(b"times/symlink", b"2", mode=0o777, target=b"nowhere", gnu=False))
    layer.dir("owners", uid=33, gid=33)
    for owner in [1, 65_533, 65_535, 65_536, 2_000_000]:
        layer.add(f"owners/of-{owner}", data=b"owned", uid=owner, gid=owner // 2)
    layer.raw(header(b"owners/gnu-base-256", uid=3_000_000_000, gid=3_000_000_001))
    layer.raw(pax([(b"uid", b"4000000000"), (b"gid", b"7")]), header(b"owners/pax", gnu=False))


def modes(layer):
    layer.dir("modes", mode=0o711)
    for mode in [0o4755, 0o2755, 0o6711, 0o1644, 0o000, 0o777]:
        layer.add(f"modes/{mode:04o}", data=b"mode", mode=mode)
    layer.dir("modes/setgid", mode=0o2775)
    layer.dir("modes/sticky", mode=0o1777)
    layer.dir("modes/closed", mode=0o000)
    layer.add("modes/closed/inside", data=b"inside")


def attributes(layer):
    layer.dir("xattrs")
    capability = struct.pack("<IIIII", 0x02000001, 1 << 10, 0, 0, 0)
    layer.with_xattrs(b"xattrs/capability", [(b"security.capability", capability)], mode=0o755)
    layer.with_xattrs(b"xattrs/user", [(b"user.text", b"words"), (b"user.binary", b"\0\n=\xff"), (b"user.\xc3\xbc", b"1")])
    layer.with_xattrs(b"xattrs/same", [(b"user.text", b"words"), (b"user.long", b"x" * 2000)])
    layer.with_xattrs(b"xattrs/trusted", [(b"trusted.secret", b"unseen")])
    layer.with_xattrs(b"xattrs/directory/", [(b"user.kind", b"directory")], b"5", 0o755)
    # user::rw- user:1000:r-- group::r-- mask::r-- other::---
    entries = [(1, 6, -1), (2, 4, 1000), (4, 4, -1), (16, 4, -1), (32, 0, -1)]
    acl = struct.pack("<I", 2) + b"".join(struct.pack("<HHi", *entry) for entry in entries)
    layer.with_xattrs(b"xattrs/acl", [(b"system.posix_acl_access", acl)], mode=0o640)


def devices(layer):
    layer.dir("devices")
    for name, kind, major, minor in [("null", tarfile.CHRTYPE, 1, 3), ("disk", tarfile.BLKTYPE, 8, 1), ("large", tarfile.CHRTYPE, 4000, 1_000_000)]:
        layer.add("devices/" + name, kind, devmajor=major, devminor=minor, mode=0o660, gid=6)
    layer.add("devices/pipe", tarfile.FIFOTYPE, mode=0o600)


# Data and holes, not aligned to blocks; the file begins and ends with a hole.
SEGMENTS = [(700, 900), (5000, 512), (10_240, 1), (20_000, 3000), (40_000, 17), (60_001, 4096), (131_072, 512)]
REAL_SIZE = 200_001


def sparse_files(layer):
    layer.dir("sparse")
    data = b"".join(bytes([65 + n]) * length for n, (_, length) in enumerate(SEGMENTS))
    old_gnu(layer, b"sparse/old-gnu", SEGMENTS, REAL_SIZE, data)
    old_gnu(layer, b"sparse/old-gnu-hole", [(REAL_SIZE, 0)], REAL_SIZE, b"")
    size, count = str(REAL_SIZE).encode(), str(len(SEGMENTS)).encode()
    pairs = [(b"GNU.sparse.offset", b"GNU.sparse.numbytes")] * len(SEGMENTS)
    records = [(key, str(value).encode()) for keys, segment in zip(pairs, SEGMENTS) for key, value in zip(keys, segment)]
    records = [(b"GNU.sparse.size", size), (b"GNU.sparse.numblocks", count), *records]
    layer.raw(pax(records), header(b"sparse/pax-0.0", size=len(data), gnu=False), data)
    numbers = b",".join(b"%d,%d" % segment for segment in SEGMENTS)
    records = [(b"GNU.sparse.size", size), (b"GNU.sparse.numblocks", count), (b"GNU.sparse.map", numbers)]
    records.append((b"GNU.sparse.name", b"sparse/pax-0.1"))
    layer.raw(pax(records), header(b"GNUSparseFile.0/pax-0.1", size=len(data), gnu=False), data)
    numbers = padded(count + b"\n" + b"".join(b"%d\n%d\n" % segment for segment in SEGMENTS))
    records = [(b"GNU.sparse.major", b"1"), (b"GNU.sparse.minor", b"0"), (b"GNU.sparse.realsize", size)]
    records.append((b"GNU.sparse.name", b"sparse/pax-1.0"))
    layer.raw(pax(records), header(b"GNUSparseFile.0/pax-1.0", size=len(numbers + data), gnu=False), numbers + data)
    layer.link("sparse/link", "sparse/old-gnu")


def old_gnu(layer, name, segments, real_size, data):
    if WHOLE:
        content, at = bytearray(real_size), 0
        for offset, length in segments:
            content[offset : offset + length] = data[at : at + length]
            at += length
        layer.raw(header(name, size=real_size), bytes(content))
        return
    fields = [number(offset, 12) + number(length, 12) for offset, length in segments]
    more = len(fields) > 4
    # Access and change time, multi-volume offset and long names, all unused: 41 bytes.
    tail = b"\0" * 41 + b"".join(fields[:4]).ljust(96, b"\0") + bytes([more]) + number(real_size, 12)
    layer.raw(header(name, b"S", len(data), tail=tail))
    for first in range(4, len(fields), 21):
        block = b"".join(fields[first : first + 21]).ljust(504, b"\0")
        layer.raw(block + bytes([first + 21 < len(fields)]))
    layer.raw(data)


def old_entries(layer):
    """Adds entries in the format of Unix version 7: no type, and a slash for directories."""
    layer.raw(header(b"v7/", b"\0", mode=0o755), header(b"v7/file", b"\0", size=2), b"v7")


def lowest():
    layer = Layer()
    layer.dir(".", mode=0o755)
    # An entry before its parents, and one whose parents have no entries.
    layer.add("late/deep/file", data=b"early")
    layer.dir("late/deep", mode=0o700, mtime=5)
    layer.dir("late", mode=0o711, mtime=6)
    layer.add("implied/a/b/file", data=b"implied")
    for function in [long_names, strange_names, times_and_owners, modes, attributes, devices, sparse_files, old_entries]:
        function(layer)
    layer.dir("usr")
    layer.dir("usr/lib")
    layer.dir("usr/bin")
    layer.add("usr/lib/below", data=b"below")
    layer.symlink("lib", "usr/lib")
    layer.symlink("bin", "/usr/bin")
    layer.symlink("looped", "looped")
    layer.symlink("up", "../../../../usr")
    layer.add("empty")
    layer.dir("empty-directory")
    layer.add("large", data=bytes(range(256)) * 8193)
    layer.add("whole-blocks", data=b"b" * 1024)
    layer.dir("links")
    layer.add("links/a", data=b"linked", mode=0o4750, uid=7)
    layer.link("links/b", "links/a")
    layer.link("links/c", "./links//b")
    layer.symlink("links/symlink", "a")
    layer.link("links/to-symlink", "links/symlink")
    layer.add("twice", data=b"first", mode=0o600)
    layer.add("twice-kinds", data=b"file")
    layer.dir("twice-kinds")
    layer.add("twice", data=b"second and longer")
    for name in ["gone", "gone-directory", "gone-directory/below", "partly", "opaque", "opaque/below", "opaque-early", "opaque-late"]:
        layer.dir(name)
    for name in ["gone/file", "gone-directory/below/file", "partly/a", "partly/b", "opaque/old", "opaque/below/old", "opaque-early/old", "opaque-late/old"]:
        layer.add(name, data=b"lower")
    for name in ["again-early", "again-late", "file-to-directory", "file-to-symlink", "changed"]:
        layer.add(name, data=b"lower")
    for name in ["directory-to-file", "directory-to-symlink", "kept", "reborn"]:
        layer.dir(name)
        layer.add(f"{name}/inside", data=b"lower")
    layer.symlink("symlink-to-directory", "kept")
    layer.symlink("symlink-to-file", "kept/inside")
    return layer


def middle():
    layer = Layer()
    layer.add("lib/through-symlink", data=b"through")
    layer.add("bin/through-absolute", data=b"through")
    layer.add("up/lib/through-up", data=b"through")
    layer.link("lib/linked-below", "lib/below")
    # A new link to a file of a lower layer, which then loses one of its old links.
    layer.link("links/d", "links/a")
    layer.add("links/b", data=b"on its own")
    for name in ["gone/.wh.file", ".wh.gone-directory", "partly/.wh.b", ".wh.never", ".wh.reborn"]:
        layer.add(name)
    # A whiteout hides lower layers only, regardless of its position.
    layer.add(".wh.again-early")
    layer.add("again-early", data=b"upper")
    layer.add("again-late", data=b"upper")
    layer.add(".wh.again-late")
    layer.add("opaque/.wh..wh..opq")
    layer.dir("opaque/below")
    layer.add("opaque/below/new", data=b"upper")
    layer.add("opaque-early/.wh..wh..opq")
    layer.add("opaque-early/new", data=b"upper")
    layer.add("opaque-late/new", data=b"upper")
    layer.add("opaque-late/.wh..wh..opq")
    layer.dir("file-to-directory")
    layer.add("file-to-directory/inside", data=b"upper")
    layer.symlink("file-to-symlink", "kept/inside")
    layer.add("directory-to-file", data=b"upper")
    layer.symlink("directory-to-symlink", "kept")
    layer.dir("symlink-to-directory")
    layer.add("symlink-to-directory/inside", data=b"upper")
    layer.add("symlink-to-file", data=b"upper")
    layer.dir("kept", mode=0o2750, uid=8, mtime=77)
    layer.add("changed", data=b"upper", mode=0o640, mtime=78)
    layer.add("only-middle", data=b"middle")
    return layer


def uppermost():
    layer = Layer()
    layer.add(".wh.only-middle")
    layer.dir("gone-directory")
    layer.add("gone-directory/new", data=b"top")
    layer.dir("reborn")
    layer.add("reborn/later", data=b"top")
    layer.link("links/e", "links/c")
    layer.link("changed-too", "changed")
    layer.add("directory-to-symlink/through", data=b"top")
    layer.with_xattrs(b"xattrs/user", [(b"user.text", b"other words")])
    return layer


folder = pathlib.Path(sys.argv[1])
for place, layer in enumerate([lowest(), middle(), uppermost()], 1):
    layer.save(folder / f"layer-{place}.tar")
