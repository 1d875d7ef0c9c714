"""What the API, the manager and the workers share: models, coordination, record, files."""
