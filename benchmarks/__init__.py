"""How the figures in `benchmarks/README.md` were measured."""
