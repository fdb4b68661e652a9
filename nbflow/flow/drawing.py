"""Drawing: a picture that shows itself in a notebook, and can be saved."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from nbflow.draw import mime_bundle, render, to_dot
from nbflow.errors import GraphError, nearest

if TYPE_CHECKING:
    from nbflow.draw import Picture

FORMATS = ("svg", "png", "pdf", "ps", "jpg", "dot", "gv")


class Drawing:
    """A picture. source: DOT, for any other tool that reads it."""

    def __init__(self, picture: Picture, format: str = "svg") -> None:  # noqa: A002 (as graphviz calls it)
        if format not in FORMATS:
            raise GraphError(f"a picture cannot be saved as {format!r}" + nearest(format, FORMATS))
        self.format = format
        self._picture = picture

    @property
    def source(self) -> str:
        """The picture as DOT."""
        return to_dot(self._picture, coloured=True)

    def save(self, filename: str | Path | None = None) -> Path:
        """Writes the picture, and gives the path; the name's ending tells the format, else the drawing's own.

        Raises GraphError where there is no Graphviz, or none that can write the format.
        """
        path = Path(filename or self._picture.name)
        kind = path.suffix[1:].lower() or self.format
        if not path.suffix:
            path = path.with_name(f"{path.name}.{kind}")
        if kind not in FORMATS:
            raise GraphError(f"a picture cannot be saved as {kind!r}" + nearest(kind, FORMATS))
        path.write_bytes(self._bytes(kind))
        return path

    def _bytes(self, kind: str) -> bytes:
        if kind in {"dot", "gv"}:
            return self.source.encode()
        if kind == "svg":
            svg = mime_bundle(self._picture).get("image/svg+xml")
            found = None if svg is None else svg.encode()
        else:
            found = render(self.source, kind)
        if found is None:
            raise GraphError(
                f"no Graphviz here can write {kind!r}; install it (apt install graphviz), or save as 'dot'"
            )
        return found

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return mime_bundle(self._picture)

    def __repr__(self) -> str:
        return mime_bundle(self._picture)["text/plain"]
