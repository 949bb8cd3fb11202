import json

import pytest

from kerasnas.tasks import NAMES, check_task, described, restored
from search_spaces.detection import Detection
from search_spaces.segmentation import Segmentation
from search_spaces.task import Classification, MultiLabel, NextToken, Regression

TASKS = [
    Classification(3, one_hot=True),
    MultiLabel(4),
    Regression(2, scale=(1.0, 2.0), offset=(0.5, 3.0)),
    Segmentation(5, ignore_class=255),
    Detection(2, image_shape=(16, 16, 1)),
    NextToken(20),
]


@pytest.mark.parametrize("task", TASKS, ids=lambda task: type(task).__name__)
def test_a_task_is_restored_from_json(task):
    assert restored(json.loads(json.dumps(described(task)))) == task


def test_every_name_stands_for_a_task_of_its_own():
    assert {type(task) for task in TASKS} == set(NAMES.values())


def test_a_task_of_ones_own_is_not_restored():
    class Own(Classification):
        pass

    assert restored(described(Own(3))) is None


@pytest.mark.parametrize("task", [None, "regression", Regression()])
def test_tasks_and_their_names_are_taken(task):
    check_task(task)


def test_an_unknown_name_gets_a_hint():
    with pytest.raises(ValueError, match="Did you mean 'segmentation'"):
        check_task("segmentaton")


def test_anything_else_is_refused():
    with pytest.raises(TypeError, match="a name or a task"):
        check_task(Regression)
