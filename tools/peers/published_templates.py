"""The chat templates that Python packages carry: .jinja files, and strings in their sources that look like a template. The
packages are those of tools/templates-requirements.txt, transformers itself and the source package of llama-cpp-python, in which
llama.cpp's collection lies. Each is fetched once; only its templates stay in the cache, none of them in the repository."""

import ast
import importlib.metadata
import shutil
import subprocess
import sys
import tarfile
import tempfile
import warnings
import zipfile
from pathlib import Path

import transformers

from peer import CACHE, ROOT

REQUIREMENTS = [ROOT / "tools" / "templates-requirements.txt", ROOT / "tools" / "llama-cpp-requirements.txt"]
SUFFIXES = (".jinja", ".jinja2", ".j2")
# A template goes through messages; what stands in a docstring or is put together at run time does not count.
SIGNS = ("messages", "{%", "for ", "{{")


def looks_like_template(text):
    return all(sign in text for sign in SIGNS)


def folded(node):
    """The text of a string, or of strings added up; None for anything else."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else None
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        left, right = folded(node.left), folded(node.right)
        return None if left is None or right is None else left + right
    return None


def docstrings(tree):
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    bodies = [node.body for node in ast.walk(tree) if isinstance(node, kinds)]
    return {id(body[0].value) for body in bodies if body and isinstance(body[0], ast.Expr)}


def strings(source):
    """The templates in a Python source, the longest sums of strings only."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tree = ast.parse(source)
    skipped, found = docstrings(tree), []
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        text = None if id(node) in skipped else folded(node)
        if text is None:
            waiting.extend(reversed(list(ast.iter_child_nodes(node))))
        elif looks_like_template(text):
            found.append(text)
    return found


def templates_of(name, data):
    """(name, text) of every template in a file of a package."""
    path = Path(name)
    if path.suffix in SUFFIXES:
        text = data.decode("utf-8", "replace")
        return [(path.stem, text)] if "messages" in text else []
    if path.suffix != ".py" or not all(sign.encode() in data for sign in SIGNS):
        return []
    try:
        found = strings(data)
    except SyntaxError:
        return []
    return [(f"{path.stem}-{number}", text) for number, text in enumerate(found)]


def archive_files(path):
    """(name, bytes) of the files of a wheel or a source package that may hold templates."""
    wanted = SUFFIXES + (".py",)
    if path.suffix == ".whl":
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                if name.endswith(wanted):
                    yield name, archive.read(name)
        return
    with tarfile.open(path) as archive:
        for member in archive:
            if member.isfile() and member.name.endswith(wanted):
                yield member.name, archive.extractfile(member).read()


def installed_files(package):
    for file in importlib.metadata.files(package):
        if file.suffix in SUFFIXES + (".py",):
            yield str(file), file.locate().read_bytes()


def download(line, folder):
    """The archive of a pinned package, or None when it cannot be had."""
    requirements = Path(folder) / "requirements.txt"
    requirements.write_text(line + "\n")
    command = [sys.executable, "-m", "pip", "download", "-q", "--disable-pip-version-check", "--no-deps", "-d", folder,
               "-r", str(requirements)]
    subprocess.run(command, capture_output=True)
    return next((path for path in Path(folder).iterdir() if path != requirements), None)


def keep(files, folder):
    """Writes the templates of `files` into `folder`, all or none."""
    making = folder.with_name(folder.name + ".new")
    shutil.rmtree(making, ignore_errors=True)
    making.mkdir(parents=True)
    for name, data in files:
        for stem, text in templates_of(name, data):
            path = making / f"{stem}.jinja"
            count = 2
            while path.exists():
                path = making / f"{stem}~{count}.jinja"
                count += 1
            path.write_bytes(text.encode("utf-8", "replace"))
    making.rename(folder)


def fetch(line, folder):
    with tempfile.TemporaryDirectory() as temporary:
        archive = download(line, temporary)
        if archive:
            keep(archive_files(archive), folder)
    return folder.exists()


def published():
    """{package: sorted template files}, and the packages that cannot be had."""
    found, missing = {}, []
    name = f"transformers {transformers.__version__}"
    folder = CACHE / "templates" / name.replace(" ", "-")
    if not folder.exists():
        keep(installed_files("transformers"), folder)
    found[name] = sorted(folder.glob("*.jinja"))
    for line in [line for path in REQUIREMENTS for line in path.read_text().splitlines() if line]:
        name = line.split()[0].replace("==", " ")
        folder = CACHE / "templates" / name.replace(" ", "-")
        if folder.exists() or fetch(line, folder):
            found[name] = sorted(folder.glob("*.jinja"))
        else:
            missing.append(name)
    return found, missing
