"""The control plane: the REST API, and the manager with its elected leader."""
