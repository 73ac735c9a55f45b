"""What orbax leaves behind where a checkpoint cannot be read."""

import pytest

#: Orbax reads all leaves at a time and closes its event loop at the first that cannot be read. The
#: others then report to a loop that is gone, which is noticed some time later. Nothing else passes.
REPORTS_TOO_LATE = pytest.mark.filterwarnings(
    "ignore:(?s)Exception ignored in. None.*Event loop is closed"
    ":pytest.PytestUnraisableExceptionWarning"
)
