"""A disk that loses what was not synced: plays the calls that disk_shim.cpp wrote down again, up to any of them."""
import os, pathlib


class File:
    def __init__(self): self.now, self.kept = bytearray(), b""


class Folder:
    def __init__(self): self.now, self.kept = {}, {}


class Disk:
    """Files and folders below `root`, as they are and as they would be found after the power went."""

    def __init__(self, root):
        self.root, self.files, self.top = root.rstrip("/"), {}, Folder()

    def folder(self, path):
        """The folder of a name, and the name."""
        parts = [part for part in path[len(self.root):].split("/") if part]
        at = self.top
        for part in parts[:-1]: at = at.now[part]
        return at, parts[-1] if parts else None

    def play(self, line):
        word, *args = line.rstrip("\n").split("\t")
        if word == "create":
            folder, name = self.folder(args[0])
            folder.now[name] = self.files[args[1]] = File()
        elif word == "mkdir":
            folder, name = self.folder(args[0])
            folder.now[name] = Folder()
        elif word == "write":
            file, at, data = self.files[args[0]].now, int(args[1]), bytes.fromhex(args[2])
            if len(file) < at: file.extend(bytes(at - len(file)))
            file[at:at + len(data)] = data
        elif word == "truncate":
            file, size = self.files[args[0]].now, int(args[1])
            del file[size:]
            file.extend(bytes(size - len(file)))
        elif word == "sync":
            file = self.files[args[0]]
            file.kept = bytes(file.now)
        elif word == "syncfolder":
            folder, name = self.folder(args[0])
            if name is not None: folder = folder.now[name]
            folder.kept = dict(folder.now)
        elif word == "rename":
            (a, old), (b, new) = map(self.folder, args)
            b.now[new] = a.now.pop(old)
        elif word == "exchange":
            (a, old), (b, new) = map(self.folder, args)
            a.now[old], b.now[new] = b.now[new], a.now[old]
        elif word in ("unlink", "rmdir"):
            folder, name = self.folder(args[0])
            del folder.now[name]

    def tree(self, names, data, folder=None, path=""):
        """{path: bytes, or None for a folder} with names and data "now" or "kept"."""
        found = {}
        for name, entry in getattr(folder or self.top, names).items():
            found[path + name] = None if isinstance(entry, Folder) else bytes(getattr(entry, data))
            if isinstance(entry, Folder): found.update(self.tree(names, data, entry, path + name + "/"))
        return found


# What may be found: all of it (the process was killed), names without their data, and neither.
AFTER = (("now", "now"), ("now", "kept"), ("kept", "kept"))


def crashes(root, lines):
    """The trees that a crash before each call, and after the last, may leave, each once, and the number of calls before it."""
    disk, seen = Disk(str(root)), set()
    for count, line in enumerate([*lines, None]):
        if line and line.startswith(("look\t", "none\t")): continue
        for names, data in AFTER:
            tree = disk.tree(names, data)
            key = hash(tuple(sorted(tree.items(), key=lambda item: item[0])))
            if key not in seen: yield count, tree
            seen.add(key)
        if line: disk.play(line)


def put(tree, root):
    for path, data in sorted(tree.items()):
        place = pathlib.Path(root) / path
        place.mkdir(parents=True, exist_ok=True) if data is None else place.write_bytes(data)
