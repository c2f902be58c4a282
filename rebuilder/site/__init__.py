"""The published site: page models that only compute, and the rendering and writing around them."""
