"""Power fails: whatever part of the last writes reached the disk, a broker finds there what it
acknowledged, and nothing that it refused.

A real broker runs under load while its writes, syncs and replies are recorded; from that the disk
is built as it may be after a power failure at any moment (tests/support/power.py). `make soak`
tries many more.
"""

import pytest
from support.broker import Broker
from support.power import Recording

IMAGES = 80


def test_what_was_acknowledged_survives_a_power_failure_at_any_moment(bench):
    recording = Recording(bench).run(seed=1)
    for image in recording.images(IMAGES):
        image.check(bench.folder / "image")


def test_a_sync_that_is_missing_would_be_noticed(bench):
    recording = Recording(bench, skip_sync=3).run(seed=1)
    with pytest.raises(AssertionError, match="SEED=1"):
        for image in recording.images(IMAGES):
            image.check(bench.folder / "image")


def test_a_broker_goes_on_after_a_power_failure(bench):
    """The dump of the other tests reads as a broker does; here brokers themselves start, and their
    stores are sound afterwards."""
    recording = Recording(bench).run(seed=2, rounds=15)
    images = [image for image in recording.images(20) if image.data is not None
              and image.moment > len(recording.records) // 4]
    for n, image in enumerate(images[:5]):
        broker = Broker(bench, f"broker-{n}",
                        store=image.write(bench.folder / f"image-{n}")).start()
        with broker.commands() as client:
            before = client.history(limit=1000)["events"]
            seq = client.publish("m", text="after the power failure")["seq"]
            assert not before or seq > before[-1]["seq"]
        broker.restart()
        with broker.commands() as client:
            assert [e["seq"] for e in client.history(limit=1000)["events"]] == [
                e["seq"] for e in before
            ] + [seq]
        broker.stop()
