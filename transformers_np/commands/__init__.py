"""The subcommands of `tcodec` that this package brings, one a file.

Only arguments are read when the program starts; what a command does is imported when it is run.
"""
