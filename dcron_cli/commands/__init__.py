"""The commands of `dcron`, one noun a module. Each is found by dcron_cli.main."""
