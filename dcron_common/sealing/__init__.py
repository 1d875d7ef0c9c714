"""Secrets of users: encrypted at rest by the control nodes' key ring, sealed for single workers."""
