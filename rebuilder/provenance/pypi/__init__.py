"""What a Python index attests: PEP 740."""
