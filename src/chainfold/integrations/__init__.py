"""Other libraries' ways of working, on a registry. Each needs its library; none is imported by the rest."""
