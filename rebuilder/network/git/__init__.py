"""Repositories: one commit at a time, fetched by git behind a relay of ours."""
