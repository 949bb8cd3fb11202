import json
import os

import pytest

from kerasnas.journal import Journal, write_atomically


@pytest.fixture
def journal(tmp_path):
    return Journal(tmp_path / "new folder" / "journal.jsonl")


def kinds(journal):
    return [event["event"] for event in journal.read()]


class TestJournal:
    def test_what_was_written_is_read_in_order(self, journal):
        assert journal.read() == []
        journal.append({"event": "created", "values": {"lr": 0.1 + 0.2, "name": "ä\n"}})
        journal.append({"event": "ended"})
        first, second = Journal(journal.path).read()
        assert first["values"] == {"lr": 0.1 + 0.2, "name": "ä\n"}
        assert 0 <= second["time"] - first["time"] < 60

    def test_a_torn_last_record_never_happened(self, journal):
        journal.append({"event": "created"})
        journal.append({"event": "ended"})
        whole = journal.path.read_bytes()
        start = whole.index(b"\n") + 1
        for end in range(start, len(whole)):
            journal.path.write_bytes(whole[:end])
            torn = Journal(journal.path)
            assert kinds(torn) == ["created"]
            torn.append({"event": "next"})
            assert kinds(torn) == ["created", "next"]
            assert journal.path.read_bytes().count(b"\n") == 2

    @pytest.mark.parametrize("rest", [b"\0\0\0\0", b"\0\0\n", b'{"event": "en\n', b"17\n"])
    def test_what_a_power_cut_leaves_at_the_end_is_cut_off(self, journal, rest):
        journal.append({"event": "created"})
        with journal.path.open("ab") as file:
            file.write(rest)
        again = Journal(journal.path)
        assert kinds(again) == ["created"]
        again.append({"event": "ended"})
        assert kinds(Journal(journal.path)) == ["created", "ended"]

    def test_a_damaged_record_before_the_last_is_an_error(self, journal):
        for kind in ("created", "ended", "created"):
            journal.append({"event": kind})
        lines = journal.path.read_bytes().splitlines(keepends=True)
        journal.path.write_bytes(lines[0] + b'{"event": "end\n' + lines[2])
        with pytest.raises(
            ValueError, match=r"damaged.*Received: line 2 of .*Restore the file"
        ):
            Journal(journal.path).read()
        with pytest.raises(ValueError, match="damaged"):
            Journal(journal.path).append({"event": "next"})

    def test_an_event_that_is_no_json_leaves_the_file_as_it_was(self, journal):
        journal.append({"event": "created"})
        with pytest.raises(TypeError):
            journal.append({"event": "ended", "model": object()})
        assert kinds(journal) == ["created"]

    def test_a_write_that_fails_halfway_is_cut_off_by_the_next(self, journal, monkeypatch):
        journal.append({"event": "created"})

        def fail(_):
            with journal.path.open("r+b") as file:
                file.truncate(journal.path.stat().st_size - 5)
            raise OSError("disk full")

        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", fail)
            with pytest.raises(OSError, match="disk full"):
                journal.append({"event": "ended"})
        journal.append({"event": "next"})
        assert kinds(journal) == ["created", "next"]

    def test_every_record_is_synced_before_append_returns(self, journal, monkeypatch):
        synced = []

        def sync(descriptor):
            synced.append(os.fstat(descriptor).st_size)

        journal.append({"event": "created"})
        monkeypatch.setattr(os, "fsync", sync)
        journal.append({"event": "ended"})
        assert synced == [journal.path.stat().st_size]


class TestWriteAtomically:
    def test_it_replaces_the_text(self, tmp_path):
        path = tmp_path / "trial_0" / "trial.json"
        write_atomically(path, "old")
        write_atomically(str(path), "new ä")
        assert path.read_text(encoding="utf-8") == "new ä"
        assert [entry.name for entry in path.parent.iterdir()] == ["trial.json"]

    def test_a_failure_leaves_the_old_text(self, tmp_path, monkeypatch):
        path = tmp_path / "oracle.json"
        write_atomically(path, json.dumps({"a": 1}))

        def fail(_):
            raise OSError("disk full")

        monkeypatch.setattr(os, "fsync", fail)
        with pytest.raises(OSError, match="disk full"):
            write_atomically(path, "{}")
        assert json.loads(path.read_text()) == {"a": 1}
