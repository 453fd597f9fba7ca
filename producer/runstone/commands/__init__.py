"""The subcommands that work with nothing but the client installed, a module each.

A command module, here or in another package, has ``HELP`` (one line), ``add_arguments(parser)`` and
``run(args) -> exit code``. It imports what is heavy inside of ``run``, so that ``runstone --help`` is quick.
"""
