"""Programs that builds of npm packages run."""
