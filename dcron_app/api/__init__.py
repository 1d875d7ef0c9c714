"""The REST API: one resource a module; `app.build` puts them together."""
