"""Power failures at many moments: brokers are recorded under load, and each image of the disk is
opened and compared with what was acknowledged."""

import concurrent.futures
import itertools
import os
import tempfile

from support.bench import Bench
from support.power import Recording

_IMAGES = 200    # of one recording


def run(seed, images, progress):
    """Raises AssertionError for the first image that lacks something or has too much."""
    done = 0
    for seed in itertools.count(seed):
        if done >= images:
            break
        done += _one_recording(
            seed, min(_IMAGES, images - done),
            lambda n, done=done: progress.show(f"power failures: {done + n} of {images}")
        )
    progress.keep(f"power failures: {done} images of disks, all sound")


def _one_recording(seed, count, progress):
    with Bench() as bench, tempfile.TemporaryDirectory() as folder:
        recording = Recording(bench).run(seed)
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            checks = [pool.submit(image.check, f"{folder}/{n}")
                      for n, image in enumerate(recording.images(count))]
            for n, check in enumerate(concurrent.futures.as_completed(checks), 1):
                check.result()
                progress(n)
    return count
