"""Where build definitions run: from a :class:`~rebuilder.model.definition.BuildDefinition` to a ``Run``, step by step.

1. :class:`rebuilder.sandbox.local_runner.LocalRunner` takes the build environment by the digest of its tree and the
   inputs by theirs from the blobs, all checked, and hands them to the sandbox of the kind that the definition names.
2. :mod:`rebuilder.sandbox.bubblewrap.arguments` refuses what cannot be run as it is written, and makes the rest into
   options of bubblewrap (https://github.com/containers/bubblewrap), resource limits, and a shell script that runs the
   commands.
3. :class:`rebuilder.sandbox.bubblewrap.run_sandbox.Bubblewrap` asks the launcher, a small process with one thread
   (:mod:`~rebuilder.sandbox.bubblewrap.launcher_main`), to become bubblewrap: namespaces of its own (namespaces(7)), no
   network, a read-only root, file systems in memory, a filter of system calls
   (:mod:`~rebuilder.sandbox.bubblewrap.seccomp`).
4. When the sandbox stands, its shell says so and waits. :class:`rebuilder.sandbox.supervision.Supervision` opens the
   meter (:mod:`~rebuilder.sandbox.meter`), lets the commands go, keeps what they write, and looks every 25 ms whether a
   limit is passed. The end is the end of the first process, with which the kernel ends all others (pid_namespaces(7)).
5. All processes being gone, :mod:`rebuilder.sandbox.leftovers` lists ``/out`` through descriptors that were opened
   before, and finds the limit that a failed run had reached between two looks.
6. :mod:`rebuilder.sandbox.collected` stores files and log as blobs, and the sandbox gives back the ``Run``.

In a sandbox of the kind ``uml``, what bubblewrap runs in step 3 is a User Mode Linux kernel
(:mod:`rebuilder.sandbox.uml.machine`; https://docs.kernel.org/virt/uml/user_mode_linux_howto_v2.html). Its first
process (:mod:`rebuilder.sandbox.uml.guest`) goes through steps 3 to 5 once more inside, with a clock that it sets;
:mod:`rebuilder.sandbox.uml.answer` reads what it left, as hostile data.

Programs of our own that read what others published are packed, and run the same way, by
:mod:`rebuilder.sandbox.program_runner`. The decisions: ``docs/adr/0001-sandbox.md``, ``0013``, ``0017``, ``0026``.
"""
