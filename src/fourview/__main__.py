"""`python -m fourview`: what torchrun starts."""

from fourview.cli import main

if __name__ == "__main__":
    main()
