"""Without the packages of the extra `interop` its functions say how to install them."""

import sys

import pytest

from flowjax_glow import interop


@pytest.mark.parametrize(
    ("function", "package"),
    [
        (interop.from_flowjax, "flowjax"),
        (interop.from_distrax, "distrax"),
        (interop.from_bijx, "bijx"),
        (lambda _: interop.to_numpyro(None, None, (1,)), "numpyro"),
    ],
)
def test_a_missing_package_is_told_in_a_line(function, package, monkeypatch, unchecked):
    monkeypatch.setitem(sys.modules, package, None)
    for name in [name for name in sys.modules if name.startswith(f"{package}.")]:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(
        ModuleNotFoundError, match=f"expected the package {package}, got none"
    ) as found:
        function(None)
    assert "in a clone pip install '.[interop]'" in str(found.value)
    assert len(str(found.value).splitlines()) == 1
