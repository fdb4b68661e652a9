"""Pictures of flows. The front door makes a Picture; here it becomes DOT, SVG and text."""

from nbflow.draw.dot import to_dot
from nbflow.draw.layout import lay_out, render
from nbflow.draw.picture import Arrow, Box, Picture
from nbflow.draw.show import mime_bundle
from nbflow.draw.words import to_mermaid, to_text

__all__ = ["Arrow", "Box", "Picture", "lay_out", "mime_bundle", "render", "to_dot", "to_mermaid", "to_text"]
