"""The run-time type checker of the tests."""

from beartype import BeartypeConf, beartype

#: An int is a float to Python's typing (PEP 484), and so it is here.
checked = beartype(conf=BeartypeConf(is_pep484_tower=True))
