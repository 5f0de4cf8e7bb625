# SPDX-License-Identifier: GPL-2.0
"""The places of rust/ and samples/ that an auditor has to look at, as the sources have them.

In Rust: unsafe blocks, unsafe implementations, "unsafe(...)" in macros, and functions with the C ABI. Each has a "// SAFETY:"
comment, or is a function with the C ABI whose documentation has "# Safety"; and a tag that says which tests would notice if
it were wrong, in a line "// Tested by: KIND NAME, KIND NAME." right above the function, implementation or static that it
stands in, or above an outer one. "nothing" is a kind, too, and may say why. Code of KUnit suites is left out.

Relies on rustfmt: an item ends with the next "}" that is not indented further than it is.
"""

import dataclasses
import pathlib
import re

PROJECT = pathlib.Path(__file__).resolve().parents[2]
TAG = "// Tested by: "
KINDS = {"mutant": "tools/mutants/{}.patch", "compile-fail": "tests/compile-fail/{}.rs",
         "torture": "tools/torture/ops/{}.rs", "test": "tools/tests/{}", "make": "tools/make/{}"}
ITEM = re.compile(r"(?:pub(?:\([^)]*\))? )?(?:(?:const|unsafe|extern \"C\") )*"
                  r"(?:(?:fn|static|mod|const|unsafe impl|impl)\b|macro_rules!)(?:<.*?>)? ?([^({;=]*)")
SUITES = re.compile(r"#\[cfg\(ASYNC_DOMAIN_KUNIT\)\]\n(?:pub(?:\([^)]*\))? )?mod (\w+);")
LOOK = re.compile(r"\bunsafe(?= \{|\()|\bunsafe impl\b|\bextern \"C\" fn (?=\w)")


@dataclasses.dataclass
class Place:
    path: str
    line: int
    item: str
    safety: str
    tests: str
    lines: int      # how many lines an unsafe block has; 0 for what is none


def sources():
    """The paths of what is audited, relative to the project."""
    paths = [path for top in ("rust", "samples") for path in (PROJECT / top).rglob("*.rs") if "bindings" not in path.parts]
    of_suites = {path.with_suffix("") / f"{name}.rs" if path.name != "async_domain.rs" else path.parent / f"{name}.rs"
                 for path in paths for name in SUITES.findall(path.read_text(encoding="utf-8"))}
    return sorted(str(path.relative_to(PROJECT)) for path in paths if path not in of_suites)


def comment_above(lines, number):
    """The text of the comment that ends above a line, attributes left out; and that of the statement it is in."""
    found = []
    number -= 1
    while number >= 0:
        text = lines[number].strip()
        if text.startswith("//"):
            found.insert(0, text)
        elif not text.startswith("#["):
            break
        number -= 1
    return found


def safety_of(lines, number):
    """The "SAFETY" comment of the statement that a line belongs to."""
    for above in range(number, max(number - 12, -1), -1):
        comment = comment_above(lines, above)
        joined = " ".join(re.sub(r"^//[/!]? ?", "", line) for line in comment)
        if match := re.search(r"SAFETY: (.*)", joined) or re.search(r"# Safety (.*)", joined):
            return re.sub(r"(?:CAST|INVARIANT|Tested by): .*", "", match[1]).strip()
        if above < number and re.search(r"[;{}]$", lines[above - 1].strip() or "x"):
            break
    return ""


def tag_of(lines, number):
    """The tag right above the item that begins at a line."""
    comment = comment_above(lines, number)
    for i, line in enumerate(comment):
        if line.startswith(TAG):
            text = line[len(TAG):]
            for more in comment[i + 1:]:
                if text.endswith("."):
                    break
                text += " " + more[2:].strip()
            return text.rstrip(".")
    return ""


def block_lines(lines, number):
    """How many lines a block has that opens in a line, without its braces."""
    indent = len(lines[number]) - len(lines[number].lstrip())
    text = lines[number].split("//")[0]
    opened = text[text.index("unsafe {"):] if "unsafe {" in text else ""
    if not opened or opened.count("{") <= opened.count("}"):
        return 1 if opened else 0
    for end in range(number + 1, len(lines)):
        text = lines[end]
        if text.strip().startswith("}") and len(text) - len(text.lstrip()) <= indent:
            body = [line.strip() for line in lines[number + 1:end]]
            return sum(1 for line in body if line and not line.startswith("//"))
    return 0


def places(path):
    """All places of a file."""
    lines = (PROJECT / path).read_text(encoding="utf-8").splitlines()
    stack, testing = [], None
    for number, line in enumerate(lines):
        code = re.sub(r"//.*", "", line).rstrip()
        text = code.lstrip()
        indent = len(code) - len(text)
        if not text:
            continue
        if testing is not None:
            if indent <= testing and text[0] == "}":
                testing = None
            continue
        if re.match(r"#\[cfg\(ASYNC_DOMAIN_KUNIT\)\]", text):
            following = next(later for later in lines[number + 1:] if not later.lstrip().startswith(("#", "//")))
            if following.rstrip().endswith("{"):
                testing = indent
            continue
        item = ITEM.match(text)
        if text[0] == "}" or item:
            while stack and stack[-1][0] >= indent:
                stack.pop()
        if item:
            name = re.sub(r"\s+", " ", item[1]).strip() or text
            stack.append((indent, name, tag_of(lines, number)))
        for found in LOOK.finditer(text):
            if found[0].startswith("extern") and "# Safety" not in " ".join(comment_above(lines, number)):
                safety = "Called by the kernel."
            else:
                safety = safety_of(lines, number)
            tests = next((tag for _, _, tag in reversed(stack) if tag), tag_of(lines, number))
            yield Place(path, number + 1, stack[-1][1] if stack else text, safety, tests, block_lines(lines, number))


def missing_tests(tests):
    """The tests of a tag that do not exist."""
    cases, scenarios = set(), ""
    for source in (PROJECT / "rust").rglob("*.rs"):
        cases |= set(re.findall(r"#\[test\]\n\s*fn (\w+)", source.read_text(encoding="utf-8")))
    for source in (PROJECT / "tools/model/src").rglob("*.rs"):
        scenarios += source.read_text(encoding="utf-8")
    for test in tests:
        kind, _, name = test.partition(" ")
        if kind == "nothing" or test.startswith("nothing:"):
            continue
        there = name in cases if kind == "kunit" else f'"{name}"' in scenarios if kind == "model" else \
            kind in KINDS and (PROJECT / KINDS[kind].format(name)).exists()
        if not there:
            yield test


def split(tests):
    """The tests that a tag names."""
    return [tests] if tests.startswith("nothing") else [test.strip() for test in tests.split(",") if test.strip()]


def table():
    """All of it, in reStructuredText."""
    for path in sources():
        found = list(places(path))
        if not found:
            continue
        yield from (f"{path}", "-" * len(path), "", ".. list-table::", "   :header-rows: 1", "   :widths: 20 5 50 25", "",
                    "   * - Where", "     - Line", "     - Why it is sound", "     - What would notice")
        for place in found:
            tests = ", ".join(f"``{test}``" if not test.startswith("nothing") else test for test in split(place.tests))
            safety = re.sub(r"\[([^]]*)\](?:\([^)]*\))?", r"\1", place.safety)
            safety = re.sub(r"`([^`]*)`(\w?)", lambda match: f"``{match[1]}``" + (match[2] and f"\\ {match[2]}"), safety).replace("*", "\\*").replace("_ ", "\\_ ")
            yield from (f"   * - ``{place.item}``", f"     - {place.line}", f"     - {safety}", f"     - {tests}")
        yield ""
