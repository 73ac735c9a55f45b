"""Image data sets by name, as seeded batches of uint8 that depend on nothing but their step.

```python
source = load("photos", size=16)
images = source.batch("train", seed=0, step=7, size=32)  # uint8 (32, 16, 16, 3)
```
"""

from flowjax_glow.data.catalog import load, names
from flowjax_glow.data.errors import DataError
from flowjax_glow.data.events import EventSource
from flowjax_glow.data.source import Images, Source

__all__ = ["DataError", "EventSource", "Images", "Source", "load", "names"]
