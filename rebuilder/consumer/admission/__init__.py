"""A cluster or a deployer asks whether something may run: container images by what is inside, packages by digest."""
