"""The zoo: models that write prose, and of which it is known whether their reasons carry anything.

    from tests.support.zoo import data_set

    made = data_set("PostHoc", 20, seed=3, drift="much")
    report = audit_dataset(made.items, model=made.model)

`KINDS` has all members by name; `honest` and `rationalisers` define them, each with the `flags`
that its wiring makes true.
"""

from tests.support.zoo.data import DRIFTS, KINDS, DataSet, data_set
from tests.support.zoo.honest import HONEST
from tests.support.zoo.model import HOSTED, LOCAL, Member
from tests.support.zoo.rationalisers import RATIONALISERS
from tests.support.zoo.writer import PLAIN, Drift

__all__ = [
    "DRIFTS", "HONEST", "HOSTED", "KINDS", "LOCAL", "PLAIN", "RATIONALISERS", "DataSet", "Drift",
    "Member", "data_set",
]  # fmt: skip
