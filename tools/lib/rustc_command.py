# SPDX-License-Identifier: GPL-2.0
"""How Kbuild compiles a consumer of the library: the command that it has saved for a sample."""

import os
import shlex


class RustcCommand:
    """The command for samples/minimal.rs in a build directory, without its input and its outputs."""

    def __init__(self, modules):
        with open(os.path.join(modules, "samples/.minimal.o.cmd")) as saved:
            command = saved.readline().split(" := ", 1)[1]
        words = shlex.split(command.split(" ; ")[0])
        at = next(i for i, word in enumerate(words) if "=" not in word)

        self.directory = modules
        # The kernel's Makefile exports the variable.
        self.environment = dict(os.environ, RUSTC_BOOTSTRAP="1")
        self.environment.update(word.split("=", 1) for word in words[:at])
        self.compiler = words[at]
        self.flags = []
        words = iter(words[at + 1 :])
        for word in words:
            if word == "--out-dir":
                next(words)
            elif not word.startswith("--emit=") and not word.endswith("samples/minimal.rs"):
                self.flags.append(word)
