import numpy as np
import pytest

from kerasnas.rows import Fields, Rows, inputs_of, join


class TestRows:
    def test_they_read_like_the_selected_array(self):
        array = np.arange(40.0).reshape(10, 2, 2)
        chosen = [7, 1, 1, 9]
        rows = Rows(Rows(array, np.arange(10)[::-1]), 9 - np.array(chosen))
        assert (len(rows), rows.shape, rows.ndim) == (4, (4, 2, 2), 3)
        np.testing.assert_array_equal(rows[1:3], array[chosen][1:3])
        np.testing.assert_array_equal(rows[-1], array[9])
        np.testing.assert_array_equal(np.asarray(rows, np.float32), array[chosen])
        np.testing.assert_array_equal(np.concatenate(list(rows.chunks())), array[chosen])

    def test_rows_of_rows_share_the_stored_array(self):
        array = np.zeros((10, 1))
        assert Rows(Rows(array, [1, 2, 3]), [0]).array is array

    def test_they_cannot_promise_not_to_copy(self):
        with pytest.raises(ValueError, match="without a copy"):
            np.array(Rows(np.zeros((3, 1))), copy=False)


class TestFields:
    def make(self):
        return Fields({"b": np.arange(6.0).reshape(3, 2), "a": np.arange(3)})

    def test_they_are_in_the_order_of_their_names(self):
        assert self.make().names == ["a", "b"]
        assert self.make().example_shape == {"a": (), "b": (2,)}

    def test_a_number_selects_examples_and_a_name_an_input(self):
        fields = self.make()
        assert len(fields) == 3
        assert fields[1]["a"] == 1
        np.testing.assert_array_equal(fields["b"][:], np.arange(6.0).reshape(3, 2))
        taken = fields.take(np.array([2, 0]))
        assert taken["a"][:].tolist() == [2, 0]
        assert taken["b"][:].tolist() == [[4, 5], [0, 1]]

    def test_chunks_are_dictionaries_of_arrays(self):
        (chunk,) = self.make().chunks()
        assert chunk["a"].tolist() == [0, 1, 2]

    def test_inputs_of_several_lengths_are_refused(self):
        with pytest.raises(ValueError, match=r"one length\. Received: lengths \{'a': 2"):
            Fields({"a": np.zeros(2), "b": np.zeros(3)})


def test_rows_of_one_array_are_joined_without_a_copy():
    array = np.arange(10)
    joined = join([Rows(array, [1, 2]), Rows(array, [7])])
    assert joined.array is array
    assert joined[:].tolist() == [1, 2, 7]


def test_rows_of_several_arrays_and_of_several_inputs_are_joined():
    assert join([Rows(np.arange(2)), Rows(np.arange(3))])[:].tolist() == [0, 1, 0, 1, 2]
    parts = [Fields({"a": np.arange(2)}), Fields({"a": np.arange(3)})]
    assert join(parts)["a"][:].tolist() == [0, 1, 0, 1, 2]


def test_what_is_wrapped_stays_as_it_is():
    rows = Rows(np.zeros(2))
    assert inputs_of(rows) is rows
    assert isinstance(inputs_of({"a": np.zeros(2)}), Fields)
