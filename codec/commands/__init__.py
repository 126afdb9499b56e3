"""The subcommands of `tcodec`, a module each; see `codec.program` for what a subcommand is."""
