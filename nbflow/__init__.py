"""nbflow turns a Jupyter notebook into an incremental pipeline."""

__version__ = "0.1.0"
