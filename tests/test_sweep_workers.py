"""invnb.sweep_workers: who may take a point."""

from invnb.sweep_workers import Admission


class Connecting:
    """A client that has lost its scheduler and knows of no workers until it is back."""

    def scheduler_info(self, n_workers):
        return {}


def test_while_a_client_connects_again_nobody_is_looked_at_and_nobody_forgotten(monkeypatch):
    monkeypatch.setattr("invnb.sweep_workers._identity_here", lambda *what: {"code": "here"})
    admission = Admission(Connecting(), "mine", ("genuine-invariance", [], None))
    admission.admitted = {"tcp://worker"}
    assert admission.look() == []
    assert admission.admitted == {"tcp://worker"}
