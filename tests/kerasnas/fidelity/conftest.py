import dataclasses
import random

import pytest

from kerasnas.fidelity import Record, Run


class Simulation:
    """A search whose trials have losses that are drawn, or that a function gives.

    `runs` lists what the policy wanted, in order: the trial's number, from which level, to
    which.
    """

    def __init__(self, policy, loss=None, *, workers=1, failing=0.0, seed=0):
        self.policy, self.workers, self.failing = policy, workers, failing
        self.random = random.Random(seed)
        self.loss = loss or (lambda number, level: self.random.random())
        self.records, self.runs = [], []

    def play(self, trials):
        """Run so many trials, and let the policy finish; return the records."""
        while True:
            while self.running < self.workers and self.begin(last=len(self.records) >= trials):
                pass
            if not self.running:
                return self.records
            self.end()

    @property
    def running(self):
        return sum(record.running is not None for record in self.records)

    def begin(self, *, last):
        """Begin the run that the policy wants; return whether it wants any."""
        wanted = self.policy.next_run(self.records, last=last)
        if isinstance(wanted, Run):
            number, level = int(wanted.trial_id), wanted.level
            record = self.records[number]
            assert record.running is None
            assert not record.settled
            self.records[number] = dataclasses.replace(record, running=level)
        elif last:
            return False
        else:
            number, level = len(self.records), wanted
            record = Record(f"{number:04d}")
            self.records.append(dataclasses.replace(record, running=level))
        self.runs.append((number, record.level, level))
        assert record.level < level
        assert level in self.policy.levels
        return True

    def end(self):
        """End any of the runs."""
        number = self.random.choice(
            [i for i, record in enumerate(self.records) if record.running is not None]
        )
        record = self.records[number]
        if self.random.random() < self.failing:
            self.records[number] = dataclasses.replace(record, running=None, settled=True)
            return
        losses = {**record.losses, record.running: self.loss(number, record.running)}
        self.records[number] = dataclasses.replace(record, losses=losses, running=None)

    def trained(self):
        """Count the trials that ended a run at each level."""
        return [sum(level in r.losses for r in self.records) for level in self.policy.levels]


@pytest.fixture(scope="session")
def simulate():
    return Simulation
