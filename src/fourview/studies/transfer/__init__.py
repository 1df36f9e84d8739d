"""The low-resource study: frozen features and small classifiers, as published and without its leaks."""
