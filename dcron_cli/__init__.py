"""The command `dcron`: the embedded mode, and later the client. May import app and worker."""
