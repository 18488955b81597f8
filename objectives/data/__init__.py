"""The data that objectives eat: rows, and the blend of domains that a mixture asks for."""

from objectives.data.blend import Blend
from objectives.data.rows import Row, read_rows

__all__ = ["Blend", "Row", "read_rows"]
