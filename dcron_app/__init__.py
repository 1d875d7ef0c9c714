"""What runs on the control nodes: the REST API and the manager."""
