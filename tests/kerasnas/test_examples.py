import gc

import numpy as np
import pytest
import tensorflow as tf

from kerasnas.examples import Examples, ImageStore, first_of_each_class
from kerasnas.rows import Rows


def make(n=23, classes=3, weight=False, one_hot=False, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 256, (n, 4, 5, 3), np.uint8)
    y = np.arange(n) % classes
    y = np.eye(classes, dtype=np.float32)[y] if one_hot else y
    return Examples(x, y, rng.random(n, np.float32) if weight else None)


def epoch(dataset):
    """Return the columns of one pass over a data set."""
    return [
        np.concatenate(column) for column in zip(*dataset.as_numpy_iterator(), strict=True)
    ]


class TestExamples:
    def test_columns_must_have_one_length(self):
        with pytest.raises(ValueError, match=r"one length\. Received: lengths \[3, 2\]"):
            Examples(np.zeros((3, 1, 1, 1)), np.zeros(2, int))

    def test_labels_are_integers_in_either_form(self):
        np.testing.assert_array_equal(make(one_hot=True).strata, make().strata)

    def test_take_selects_every_column(self):
        examples = make(weight=True)
        taken = examples.take(np.array([5, 2]))
        for column, whole in [
            (taken.x, examples.x),
            (taken.y, examples.y),
            (taken.weight, examples.weight),
        ]:
            np.testing.assert_array_equal(column, np.asarray(whole)[[5, 2]])


class TestStratifiedSubset:
    def test_the_shares_of_the_classes_stay(self):
        y = np.repeat([0, 1, 2], [600, 300, 100])
        subset = Examples(np.zeros((1000, 1, 1, 1)), y).stratified_subset(100, seed=0)
        assert np.bincount(subset.y).tolist() == [60, 30, 10]

    def test_a_rare_class_is_kept(self):
        y = np.array([0] * 97 + [1, 2, 2])
        subset = Examples(np.zeros((100, 1, 1, 1)), y).stratified_subset(5, seed=0)
        assert np.bincount(subset.y).tolist() == [3, 1, 1]

    def test_fewer_examples_than_classes_are_possible(self):
        assert len(make(30, classes=10).stratified_subset(4, seed=0)) == 4

    def test_seed_decides(self):
        chosen = [make(200).stratified_subset(50, seed).x.rows for seed in (0, 0, 1)]
        np.testing.assert_array_equal(chosen[0], chosen[1])
        assert set(chosen[0]) != set(chosen[2])
        assert (np.diff(chosen[0]) > 0).all()

    def test_all_examples_are_returned_as_they_are(self):
        examples = make()
        assert examples.stratified_subset(len(examples), seed=0) is examples


class TestFirstOfEachClass:
    @pytest.mark.parametrize("spare", [0, 1])
    @pytest.mark.parametrize("seed", range(20))
    def test_quotas_are_those_of_the_largest_remainders(self, seed, spare):
        rng = np.random.default_rng(seed)
        labels = np.repeat(np.arange(6), rng.integers(2, 40, 6))
        n = int(rng.integers(6, len(labels) + 1))
        order = rng.permutation(len(labels))
        rows = first_of_each_class(labels, order, n, spare=spare)
        counts, chosen = np.bincount(labels), np.bincount(labels[rows], minlength=6)
        assert len(rows) == min(n, len(labels) - 6 * spare)
        assert (chosen >= 1).all()
        assert (chosen <= counts - spare).all()
        if n <= len(labels) // 2:  # nothing but the lower bound can get in the way
            assert (np.abs(chosen - n * counts / len(labels)) < 2).all()
        for label in range(6):  # and within a class, the order decides
            preferred = order[labels[order] == label][: chosen[label]]
            assert set(preferred) == set(rows[labels[rows] == label])


class TestDataset:
    @pytest.mark.parametrize("weight", [False, True])
    @pytest.mark.parametrize("one_hot", [False, True])
    def test_batches_are_slices_of_the_arrays(self, weight, one_hot):
        examples = make(weight=weight, one_hot=one_hot)
        columns = [c for c in (examples.x, examples.y, examples.weight) if c is not None]
        batches = list(examples.dataset(5).as_numpy_iterator())
        assert len(batches) == 5
        for i, batch in enumerate(batches):
            for part, column in zip(batch, columns, strict=True):
                np.testing.assert_array_equal(part, np.asarray(column)[5 * i : 5 * i + 5])
                assert part.dtype == column.dtype

    def test_an_epoch_holds_each_example_once(self):
        examples = make(weight=True)
        x, y, weight = epoch(examples.dataset(5, shuffle=0))
        order = [int(np.flatnonzero(examples.weight == w)[0]) for w in weight]
        assert sorted(order) == list(range(len(examples)))
        assert order != sorted(order)
        np.testing.assert_array_equal(x, examples.x[order])
        np.testing.assert_array_equal(y, examples.y[order])

    def test_each_epoch_has_another_order_and_the_seed_decides_all(self):
        def orders(seed):
            dataset = make(weight=True).dataset(5, shuffle=seed)
            return [tuple(epoch(dataset)[2]) for _ in range(3)]

        assert orders(0) == orders(0)
        assert len(set(orders(0) + orders(1))) == 6

    def test_the_global_seed_has_no_say(self):
        orders = []
        for seed in (1, 2):
            tf.random.set_seed(seed)
            np.random.seed(seed)  # noqa: NPY002
            orders.append(epoch(make().dataset(5, shuffle=0))[0])
        np.testing.assert_array_equal(*orders)

    def test_repeat_lets_whole_epochs_follow(self):
        once, endless = (
            make(weight=True).dataset(5, shuffle=3, repeat=repeat) for repeat in (False, True)
        )
        epochs = np.concatenate([epoch(once)[2], epoch(once)[2]])
        np.testing.assert_array_equal(epoch(endless.take(10))[2], epochs)

    def test_cardinality_is_known(self):
        assert make().dataset(5).cardinality() == 5
        assert make().dataset(5, drop_remainder=True).cardinality() == 4
        assert make().dataset(5, repeat=True).cardinality() == tf.data.INFINITE_CARDINALITY

    def test_shapes_are_static(self):
        x, y = make().dataset(5).element_spec
        assert (x.shape.as_list(), y.shape.as_list()) == ([None, 4, 5, 3], [None])
        x, y = make(one_hot=True).dataset(5, drop_remainder=True).element_spec
        assert (x.shape.as_list(), y.shape.as_list()) == ([5, 4, 5, 3], [5, 3])

    def test_no_batch_at_all_is_an_error(self):
        with pytest.raises(ValueError, match=r"batch_size=24.*23 examples"):
            make().dataset(24, drop_remainder=True)

    def test_vary_changes_batches_repeatably_and_never_alike(self):
        def noise(x, y, seed):
            return tf.random.stateless_uniform(tf.shape(x), seed), y

        examples = make(20)
        first, second, other = (
            examples.dataset(5, shuffle=seed, vary=noise) for seed in (0, 0, 1)
        )
        drawn = [epoch(first)[0], epoch(first)[0]]
        np.testing.assert_array_equal(drawn, [epoch(second)[0], epoch(second)[0]])
        batches = np.concatenate([*drawn, epoch(other)[0]]).reshape(12, 5, 4, 5, 3)
        assert len({batch.tobytes() for batch in batches}) == 12
        assert epoch(examples.dataset(5, vary=lambda x, y, _: (x + 1, y)))[0].dtype == np.uint8

    def test_images_stay_out_of_the_graph(self):
        def graph_bytes(dataset):
            variant = tf.data.experimental.to_variant(dataset)
            graph = tf.raw_ops.DatasetToGraphV2(input_dataset=variant, external_state_policy=1)
            return len(graph.numpy())

        x = np.zeros((100, 64, 64, 3), np.uint8)
        served = Examples(x, np.zeros(100, int)).dataset(10, vary=lambda x, y, _: (x, y))
        assert graph_bytes(served) < 50_000
        assert graph_bytes(tf.data.Dataset.from_tensors(0).map(lambda _: x)) > x.nbytes


class TestImageStore:
    def store(self, budget, folder=None):
        store = ImageStore((2, 2, 1), np.dtype(np.float32), folder, budget)
        self.images = np.arange(28, dtype=np.float32).reshape(7, 2, 2, 1)
        for start in (0, 3, 6):
            store.append(self.images[start : start + 3])
        return store

    @pytest.mark.parametrize("budget", [0, 48, 100, 112])
    def test_images_return_as_they_came(self, budget, tmp_path):
        array = self.store(budget, tmp_path).array()
        np.testing.assert_array_equal(array, self.images)
        assert isinstance(array, np.memmap) == (budget < self.images.nbytes)

    @pytest.mark.parametrize("read", [False, True])
    def test_the_file_goes_when_nobody_needs_it(self, read, tmp_path):
        store = self.store(0, tmp_path / "new")
        kept = store.array() if read else store
        del store
        gc.collect()
        assert len(list((tmp_path / "new").iterdir())) == 1
        del kept
        gc.collect()
        assert not list((tmp_path / "new").iterdir())

    def test_a_selection_keeps_the_file(self, tmp_path):
        rows = Rows(Rows(self.store(0, tmp_path).array()), [6, 0])
        gc.collect()
        assert list(tmp_path.iterdir())
        np.testing.assert_array_equal(rows, self.images[[6, 0]])

    def test_another_store_in_the_folder_does_not_disturb_a_mapped_array(self, tmp_path):
        arrays = [self.store(0, tmp_path).array() for _ in range(2)]
        np.testing.assert_array_equal(arrays, [self.images, self.images])

    def test_without_a_folder_the_temporary_one_is_used(self, tmp_path, monkeypatch):
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
        array = self.store(0).array()
        assert len(list(tmp_path.iterdir())) == 1
        np.testing.assert_array_equal(array, self.images)

    def test_batches_come_from_the_file(self, tmp_path):
        array = self.store(0, tmp_path).array()
        examples = Examples(array, np.arange(7)).take(np.array([6, 2, 4]))
        x, y = epoch(examples.dataset(2))
        np.testing.assert_array_equal(x, self.images[[6, 2, 4]])
        assert y.tolist() == [6, 2, 4]
