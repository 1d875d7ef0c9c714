"""The record: MariaDB in a cluster, SQLite in embedded mode. All SQL of dcron stands here."""
