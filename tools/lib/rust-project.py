#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""lib/rust-project.py PROJECT BUILT KDIR <KERNEL.json >PROJECT.json: adds the project's crates, as they were compiled in
BUILT, to rust-analyzer's description of the kernel's."""

import json
import pathlib
import re
import shlex
import sys

SAVED = re.compile(r"^savedcmd_\S+\.o := (.*)\nsource_\S+ := (\S+\.rs)$", re.DOTALL)
# What Kbuild says in the environment.
BINDINGS = {"ASYNC_DOMAIN_BINDINGS": "rust/bindings/bindings_generated.rs",
            "ASYNC_DOMAIN_BENCH_BINDINGS": "tools/bench/bindings_generated.rs"}


def saved_commands(built):
    """The crates that Kbuild has compiled: root file -> words of the command. (Not the tests', which are built apart.)"""
    for path in sorted(path for path in built.glob("**/.*.o.cmd") if built / "tests" not in path.parents):
        match = SAVED.match("\n".join(line for line in path.read_text().splitlines()[:3] if line))
        if match:
            yield match[2], shlex.split(match[1].split(" ; ")[0])


def crate(project, built, kdir, source, words, numbers):
    cfg, deps = [], ["core"]
    for flag, value in zip(words, words[1:]):
        if flag == "--cfg":
            cfg.append(value)
        elif flag == "--extern":
            deps.append(value)
    cfg += [line.removeprefix("--cfg=") for line in (kdir / "include/generated/rustc_cfg").read_text().splitlines()]
    env = {name: str(built / path) for name, path in BINDINGS.items() if (built / path).exists()}
    env["RUST_MODFILE"] = "This is only for rust-analyzer"
    root = (project / source).resolve()
    return {
        "display_name": root.stem,
        "root_module": str(root),
        "is_workspace_member": True,
        "deps": [{"crate": numbers[name], "name": name} for name in deps],
        "cfg": cfg,
        "edition": "2021",
        "env": env,
        # What bindgen made may be outside of the checkout.
        "source": {"include_dirs": [str(root.parent), str(built)], "exclude_dirs": []},
    }


def main(project, built, kdir):
    description = json.load(sys.stdin)
    crates = description["crates"]
    for kernel_crate in crates:
        # Resolved, but not inspected.
        kernel_crate["is_workspace_member"] = False
    numbers = {crate["display_name"]: number for number, crate in enumerate(crates)}
    # The library first, since the others depend on it.
    for source, words in sorted(saved_commands(built), key=lambda saved: "async_domain" in saved[1]):
        numbers[pathlib.Path(source).stem] = len(crates)
        crates.append(crate(project, built, kdir, source, words, numbers))
    json.dump(description, sys.stdout, sort_keys=True, indent=4)


if __name__ == "__main__":
    main(*map(pathlib.Path, sys.argv[1:]))
